"""eSpeak NG through its C interface: formant synthesis, many voices by language and variant."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import SAMPLE_RATE
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all

_SYNCHRONOUS, _UTF8 = 2, 1
_SEED = 1
_RATE, _PITCH, _RANGE = 1, 3, 4  # parameters of espeak_SetParameter


class Engine:
    """One per process: the library keeps its state in globals. The same calls in a new process give the same bytes."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        library = find_all(packages, "libespeak-ng.so*")[0]
        self.library, self.chunks = ctypes.CDLL(str(library)), []
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, str(library.parent).encode(), 0)
        if self.rate <= 0:
            raise ConfigError(f"{library.parent}: eSpeak NG finds no espeak-ng-data there; fetch the package again")
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(self._take)  # kept: the library holds only its address
        self.library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, rate: int, pitch: int, spread: int) -> np.ndarray:
        """-> int16 (samples,) at 16 kHz. rate: words a minute; pitch and its spread: 0..99.

        ConfigError where there is no such voice.
        """
        from scipy.signal import resample_poly

        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ConfigError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, spread)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED)), ctypes.CDLL(None).srand(_SEED)  # some voices breathe
        self.chunks.clear()
        spoken = text.encode()
        self.library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, _UTF8, None, None)
        common = np.gcd(SAMPLE_RATE, self.rate)
        sound = resample_poly(
            np.concatenate(self.chunks).astype(np.float64), SAMPLE_RATE // common, self.rate // common
        )
        return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
