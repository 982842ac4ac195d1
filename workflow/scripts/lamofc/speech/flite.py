"""Flite through its C interface: voices built from recordings of people."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import SAMPLE_RATE
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all

_SEED = 1


class _Wave(ctypes.Structure):
    _fields_ = [("type", ctypes.c_char_p), ("rate", ctypes.c_int), ("count", ctypes.c_int),
                ("channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short))]  # fmt: skip


class Engine:
    """Voices are loaded when they are first asked for."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages, self.voices = packages, {}
        self._load("libasound.so")  # Flite is linked to it, and opens no sound device here
        self.library = self._load("libflite.so")
        self._load("libflite_usenglish.so"), self._load("libflite_cmulex.so")
        self.library.flite_init()
        self.library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
        self.library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self.library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]

    def _load(self, name: str) -> ctypes.CDLL:
        return ctypes.CDLL(str(find_all(self.packages, f"{name}*")[0]), mode=ctypes.RTLD_GLOBAL)

    def _voice(self, name: str) -> int:
        if name not in self.voices:
            register = getattr(self._load(f"libflite_cmu_us_{name}.so"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
            self.voices[name] = register(None)
        return self.voices[name]

    def say(self, text: str, voice: str) -> np.ndarray:
        """-> int16 (samples,) at 16 kHz. ConfigError for a voice of another rate, FetchError for one not there."""
        ctypes.CDLL(None).srand(_SEED)  # of the noise that excites the voice
        wave = self.library.flite_text_to_wave(text.encode(), self._voice(voice))
        found = wave.contents
        if found.rate != SAMPLE_RATE:
            raise ConfigError(f"Flite's voice {voice} has {found.rate} Hz, {SAMPLE_RATE} are wanted")
        sound = np.ctypeslib.as_array(found.samples, (found.count,)).copy()
        self.library.delete_wave(wave)
        return sound
