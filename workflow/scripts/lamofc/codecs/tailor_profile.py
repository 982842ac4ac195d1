"""Assets of the codec `tailor` made ready for a step, and the way from vectors to symbols and back under them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lamofc.codecs.tailor_floats import Floats
from lamofc.codecs.tailor_integers import Integers
from lamofc.entropy import bank, coefficients
from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.transforms import per_channel, positions, profile, vectors

KEPT = 16  # sample sizes whose tables are kept
_RANGE = 2.0**28  # components in steps, beyond which a tensor is coded without its profile
_PARTS = ("mean", "first", "predict", "synthesis", "scale", "block", "levels", "first_levels", "weights")


class Profile:
    """A tensor's assets made ready for one step, in one of the two arithmetics."""

    def __init__(self, assets: Assets, spec: TensorSpec, step: float, arithmetic: type[Integers | Floats]) -> None:
        missing = [p for p in _PARTS if f"{spec.name}/{p}" not in assets]
        if missing:
            raise ConfigError(f"no asset {spec.name}/{missing[0]}: fit the codec on calibration features")
        found = {p: assets[f"{spec.name}/{p}"] for p in _PARTS}
        size = vectors.dimension(spec)
        if found["synthesis"].shape != (size, size):
            raise ConfigError(f"assets of {spec.name} are for {found['synthesis'].shape[0]} entries, not {size}")
        self.spec, self.step = spec, np.float32(step)
        self.mean, self.first = found["mean"], found["first"].T
        self.inputs = found["predict"].shape[1]
        self.arithmetic = arithmetic(found["synthesis"], found["scale"][0], found["predict"], step)
        self.plain_step = self.arithmetic.plain_step
        self.block = (int(found["block"][0]), int(found["block"][1]))
        self.tables = profile.tables(found["levels"], step)
        self.first_tables = profile.tables(found["first_levels"], step)
        self.weights = found["weights"]
        self.entries, self.shifts = per_channel.means(assets, spec), per_channel.shifts(assets, spec)
        if self.entries is not None and self.entries.shape != (size, spec.channels):
            raise ConfigError(f"assets of {spec.name} are for {self.entries.shape} entries, not {size, spec.channels}")
        self._frames: dict[int, Frame] = {}

    @cached_property
    def analysis(self) -> np.ndarray:
        """Inverse of the synthesis, float32: what only encoders need."""
        return np.linalg.inv(self.arithmetic.exact).astype(np.float32)

    def at(self, count: int) -> Frame:
        """What the profile says of a sample of `count` vectors; kept for the next sample of that size."""
        frame = self._frames.get(count)
        if frame is None:
            if len(self._frames) >= KEPT:
                self._frames.clear()
            frame = self._frames[count] = Frame(self, count)
        return frame


class Frame:
    """A profile spread over the vectors of one sample."""

    def __init__(self, own: Profile, count: int) -> None:
        first = own.first.shape[1]
        self.layout = positions.Layout(count, first, own.block)
        self.means = profile.spread(own.mean, own.first, count) if own.entries is None else own.entries
        self.weights = profile.column_weights(own.weights, first, count)
        self.gains = own.arithmetic.gains(self.weights)
        body = own.tables[:, self.layout.frequencies()]
        known = np.concatenate([own.first_tables[:, : count - self.layout.body], body], 1)
        if own.shifts is not None:
            known = np.clip(known + own.shifts, 0, bank.MAX_INDEX)
        self.known, self.near = known.astype(np.int16), (first, *own.block)
        self.ceiling = coefficients.Ceiling(self.known)


def components(found: np.ndarray, own: Profile, frame: Frame, foretold: np.ndarray | None) -> np.ndarray:
    """Vectors -> what is coded of them, in steps: (dimension, count) float32."""
    residual = found - frame.means
    if foretold is not None:
        residual -= own.arithmetic.vectors(foretold)
    return frame.layout.transform((own.analysis @ residual) * (frame.weights / own.step))


def quantise(found: np.ndarray, own: Profile, frame: Frame, foretold: np.ndarray | None) -> np.ndarray | None:
    """Vectors -> symbols (dimension, count) int32; None where they are too large for the profile's step."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = components(found, own, frame, foretold)
        if not max(scaled.max(initial=0), -scaled.min(initial=0)) < _RANGE:
            return None
    return np.rint(scaled, out=scaled).astype(np.int32)


def restore(symbols: np.ndarray, own: Profile, frame: Frame, foretold: np.ndarray | None) -> np.ndarray:
    """Symbols -> vectors without their mean, as the arithmetic has them. The encoder runs it too."""
    used = np.flatnonzero(symbols.any(1))
    return own.arithmetic.restore(symbols[used], used, frame.layout, frame.gains, foretold)
