"""Reading sound files, and making prompts sound like a bad telephone line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import SAMPLE_RATE
from lamofc.errors import ConfigError

TELEPHONE_BAND = (300.0, 3400.0)  # Hz
EDGE = 0.1  # seconds of silence kept at either end
_QUIET = 200  # of 32768


def read_g722(path: Path) -> np.ndarray:
    """Raw G.722 (64 kbit/s, 16 kHz) -> int16 (samples,)."""
    import av

    with av.open(str(path), format="g722") as file:
        frames = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    return np.concatenate(frames).astype(np.int16)


def read_audio(source: Path | bytes) -> np.ndarray:
    """Any file FFmpeg reads (FLAC, WAV, MP3, Ogg), or its bytes -> mono 16 kHz int16 (samples,).

    ConfigError if it holds no sound.
    """
    import av
    from av.error import FFmpegError

    resample = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    try:
        with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            frames = [f for frame in file.decode(audio=0) for f in resample.resample(frame)] + resample.resample(None)
    except (FFmpegError, IndexError) as error:
        name = "a sound of a table" if isinstance(source, bytes) else source
        raise ConfigError(f"{name}: {error}; is it whole?") from error
    return np.concatenate([f.to_ndarray().reshape(-1) for f in frames]).astype(np.int16)


def faster(sound: np.ndarray, speed: int) -> np.ndarray:
    """As a tape that runs at `speed` percent: pitch and formants rise with it; float64."""
    from scipy.signal import resample_poly

    sound = sound.astype(np.float64)
    return sound if speed == 100 else resample_poly(sound, 100, speed)


def levelled(sound: np.ndarray) -> np.ndarray:
    """Peak at half of full scale, silence cut to `EDGE` seconds at either end: int16."""
    sound = sound * (16384 / max(1.0, np.abs(sound).max()))
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    edge = np.zeros(round(EDGE * SAMPLE_RATE))
    kept = sound[loud[0] : loud[-1] + 1] if len(loud) else sound
    return np.rint(np.concatenate([edge, kept, edge])).astype(np.int16)


def telephone(sound: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Limit to the telephone band and add white noise in that band at `snr_db` below the speech: int16."""
    speech = band_limit(sound.astype(np.float64))
    noise = band_limit(rng.standard_normal(len(sound)))
    noise *= np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return np.clip(np.rint(speech + noise), -32768, 32767).astype(np.int16)


def band_limit(sound: np.ndarray) -> np.ndarray:
    """Keep 300-3400 Hz: sixth-order Butterworth band-pass, once forward."""
    from scipy.signal import butter, sosfilt

    return sosfilt(butter(6, TELEPHONE_BAND, "bandpass", fs=SAMPLE_RATE, output="sos"), sound)
