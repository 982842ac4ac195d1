"""What a tensor usually looks like: typical RMS, channel means and channel scales, calibrated or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lamofc.entropy import scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, TensorSpec

UNUSUAL = 3.0  # columns (tokens) beyond this multiple of the median RMS have no say in means and scales
_SMALLEST = 2.0**-100


@dataclass(frozen=True)
class Profile:
    """rms: median RMS of a column, mean removed; mean (channels,) float32; levels (channels,) uint8 of `scales`."""

    rms: float
    mean: np.ndarray
    levels: np.ndarray


def fit(columns: Mapping[str, np.ndarray], family: str = "laplace") -> dict[str, np.ndarray]:
    """Calibration columns per tensor, each (channels, n) float32 -> assets `<tensor>/rms`, `/mean`, `/levels`."""
    out: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        usual = values[:, is_usual(values)].astype(np.float64)
        mean = usual.mean(1) if usual.size else np.zeros(len(values))
        centred = usual - mean[:, None]
        rms = typical_rms(centred)
        out[f"{name}/rms"] = np.array([rms], np.float32)
        out[f"{name}/mean"] = mean.astype(np.float32)
        out[f"{name}/levels"] = scales.levels(_sigma(centred, family), rms)
    return out


def _sigma(centred: np.ndarray, family: str) -> np.ndarray:
    """(channels, n) -> (channels,) likeliest standard deviation under the family."""
    if not centred.size:
        return np.ones(len(centred))
    return np.sqrt(2) * np.abs(centred).mean(1) if family == "laplace" else np.sqrt(np.square(centred).mean(1))


def load(assets: Assets, spec: TensorSpec) -> Profile:
    """The profile of a tensor; ConfigError when the assets lack it or are of another shape."""
    try:
        rms, mean, levels = (assets[f"{spec.name}/{part}"] for part in ("rms", "mean", "levels"))
    except KeyError as error:
        raise ConfigError(f"no asset {error}: fit the codec on calibration features of tensor {spec.name}") from None
    if mean.shape != (spec.channels,) or levels.shape != (spec.channels,):
        raise ConfigError(f"assets of {spec.name} are for {mean.shape[0]} channels, not {spec.channels}")
    return Profile(float(rms[0]), mean, levels.astype(np.int32))


def is_centred(values: np.ndarray, mean: np.ndarray) -> bool:
    """Whether (channels, n) is smaller with the mean removed: not so for zeros, nor far from calibration."""
    with np.errstate(over="ignore"):  # two infinities are equal
        return bool(np.abs(values - mean[:, None]).sum() <= np.abs(values).sum())


def column_rms(values: np.ndarray) -> np.ndarray:
    """(..., channels, n) -> (..., n) float64."""
    if not values.shape[-2]:
        return np.zeros((*values.shape[:-2], values.shape[-1]))
    sums = np.square(values, dtype=np.float64).sum(-2)
    sums /= values.shape[-2]
    return np.sqrt(sums, out=sums)


def is_usual(values: np.ndarray) -> np.ndarray:
    """(channels, n) -> (n,) bool: columns no larger than three times the median one."""
    return are_usual(column_rms(values))


def are_usual(sizes: np.ndarray) -> np.ndarray:
    """Sizes (n,) of columns -> (n,) bool: no larger than three times the median one."""
    return sizes <= UNUSUAL * _median(sizes) if sizes.size else np.zeros(0, bool)


def typical_rms(values: np.ndarray) -> float:
    """Median RMS over columns; RMS of all where that is zero; 1 for a tensor without values or of zeros."""
    return typical(column_rms(values))


def typical(sizes: np.ndarray) -> float:
    """`typical_rms` from the sizes (n,) of the columns."""
    if not sizes.size or not sizes.any():
        return 1.0
    middle = _median(sizes)
    return max(middle if middle > 0 else float(np.sqrt(np.mean(sizes**2))), _SMALLEST)


def _median(sizes: np.ndarray) -> float:
    """Of (n,), n > 0: numpy's own takes longer than the rest of a short tensor's analysis."""
    ordered = np.sort(sizes)
    return float((ordered[(sizes.size - 1) // 2] + ordered[sizes.size // 2]) / 2)


def put_rms(encoder: Encoder, values: np.ndarray) -> float:
    """Send the typical RMS of (channels, n) as the upper 16 bits of a float32; returns it as the decoder has it."""
    return put_typical(encoder, column_rms(values))


def put_typical(encoder: Encoder, sizes: np.ndarray) -> float:
    """`put_rms` from the sizes (n,) of the columns."""
    bits = int(np.array(typical(sizes), np.float32).view(np.uint32)) >> 16
    encoder.put_uniform(bits, 1 << 16)
    return _rms(bits)


def take_rms(decoder: Decoder) -> float:
    """Inverse of `put_rms`; BitstreamError unless positive and finite."""
    value = _rms(decoder.take_one(1 << 16))
    if not 0 < value < np.inf:
        raise BitstreamError(f"scale {value} is not positive and finite")
    return value


def _rms(bits: int) -> float:
    return float(np.array(bits << 16, np.uint32).view(np.float32))
