"""The knob's value that meets a target: rate, distortion, or anything else that falls or grows along the knob.

Values of the knob are tried on a grid of 1/128 octaves, so that equal input gives an equal value everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lamofc import codecs, features, packet
from lamofc.distortion import Distortion
from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, Coder, Sample, TensorSpec

PER_OCTAVE = 128
LOWEST, HIGHEST = -10 * PER_OCTAVE, 8 * PER_OCTAVE  # knob 2^-10 .. 2^8
_STRIDE = 2 * PER_OCTAVE
_FLAT = 1e-12


def knob(k: int) -> float:
    """Value at position k of the grid, four digits."""
    return float(f"{2.0 ** (k / PER_OCTAVE):.4g}")


def first_below(value: Callable[[int], float], target: float) -> int | None:
    """Smallest k of the grid with value(k) <= target, for a falling positive `value`; None if there is none.

    From knob 1 in strides of two octaves to a bracket, then secant steps on the logarithm, each followed by a bisection
    where it did not halve the bracket; about seven evaluations. Where `value` is not quite monotone, the k found meets
    the target and k - 1 does not.
    """
    seen: dict[int, float] = {0: value(0)}
    sign = -1 if seen[0] <= target else 1
    low = high = 0
    while (seen[high] > target) if sign > 0 else (seen[low] <= target):
        k = (high if sign > 0 else low) + sign * _STRIDE
        if not LOWEST <= k <= HIGHEST:
            return LOWEST if sign < 0 else None
        seen[k] = value(k)
        low, high = (high, k) if sign > 0 else (k, low)
    return _inside(value, target, low, high, seen)


def _inside(value: Callable[[int], float], target: float, low: int, high: int, seen: dict[int, float]) -> int:
    """`first_below` within a bracket: value(low) > target >= value(high)."""
    turn = False
    while high - low > 1:
        k = (low + high) // 2 if turn else _secant(low, high, seen, target)
        seen[k] = value(k)
        before = high - low
        low, high = (low, k) if seen[k] <= target else (k, high)
        turn = high - low > before // 2
    return high


def _secant(low: int, high: int, seen: Mapping[int, float], target: float) -> int:
    top, bottom, aim = (math.log(max(v, _FLAT)) for v in (seen[low], seen[high], target))
    share = (top - aim) / (top - bottom) if top > bottom else 0.5
    return min(max(low + round(share * (high - low)), low + 1), high - 1)


def for_rate(
    entry: codecs.Entry, specs: Sequence[TensorSpec], assets: Assets, samples: Sequence[Sample], bpfp: float
) -> float:
    """The finest knob whose packets take at most `bpfp` bits per feature point. ConfigError if none does."""
    elements = max(1, sum(map(features.elements, samples)))
    found = first_below(lambda k: 8 * _bytes(_coder(entry, specs, assets, k), specs, samples) / elements, bpfp)
    return _value(found, entry, f"{bpfp:g} bits per feature point", "the coarsest step still takes more")


def for_distortion(
    entry: codecs.Entry, specs: Sequence[TensorSpec], assets: Assets, samples: Sequence[Sample], most: float
) -> float:
    """The coarsest knob whose relative squared error (`distortion.Distortion`) is at most `most`."""

    def fidelity(k: int) -> float:
        return 1 / max(_error(_coder(entry, specs, assets, k), specs, samples), 1e-30)

    found = first_below(fidelity, math.nextafter(1 / most, 0))
    what = f"a relative squared error of {most:g}"
    return _value(HIGHEST if found is None else found - 1, entry, what, "the finest step errs more")


def coarsest(holds: Callable[[float], bool], resolution: int = PER_OCTAVE // 4) -> float | None:
    """The coarsest knob that holds, by bisection to a quarter octave for what is dear to try and falls in steps, such
    as a score. None where not even the finest holds. A coarser one than the first that does not hold is not tried."""
    low = high = 0
    if holds(knob(0)):
        while (high := low + _STRIDE) <= HIGHEST and holds(knob(high)):
            low = high
    else:
        while (low := high - _STRIDE) >= LOWEST and not holds(knob(low)):
            high = low
    if low < LOWEST or high > HIGHEST:
        return knob(low) if low >= LOWEST else None
    while high - low > resolution:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(knob(middle)) else (low, middle)
    return knob(low)


def _value(found: int | None, entry: codecs.Entry, what: str, why: str) -> float:
    if found is None or found < LOWEST:
        raise ConfigError(f"codec {entry['codec']}: {what} is out of reach, {why}")
    return knob(found)


def _coder(entry: codecs.Entry, specs: Sequence[TensorSpec], assets: Assets, k: int) -> Coder:
    return codecs.coder(at(entry, knob(k)), specs, assets)


def at(entry: codecs.Entry, value: float) -> dict[str, Any]:
    """The entry at a value of its knob, which its fallback takes too where it has the same knob."""
    name = codecs.load(entry["codec"]).knob
    if not isinstance(getattr(codecs.load(entry["codec"]), name, None), float):
        raise ConfigError(f"codec {entry['codec']}: its knob {name} is no continuous number; choose a --point")
    point: dict[str, Any] = {name: value}
    fallback = entry.get("fallback")
    if fallback is not None and codecs.load(fallback["codec"]).knob == name:
        point["fallback"] = {name: value}
    return codecs.at_point(entry, point)


def _bytes(coder: Coder, specs: Sequence[TensorSpec], samples: Sequence[Sample]) -> int:
    """Bytes of the packets, framing included."""
    kept = (codecs.kept(coder, s) for s in samples)
    return sum(len(packet.pack(i, features.lengths(s, specs), coder.encode(s), 0)) for i, s in enumerate(kept))


def _error(coder: Coder, specs: Sequence[TensorSpec], samples: Sequence[Sample]) -> float:
    total = Distortion(specs)
    for sample in samples:
        kept = codecs.kept(coder, sample)
        total.add(sample, coder.decode(coder.encode(kept), {k: v.shape for k, v in kept.items()}))
    if np.isnan(total.rel_mse()):
        raise ConfigError("where tokens are evicted there is no squared error: name a rate or a point")
    return total.rel_mse()
