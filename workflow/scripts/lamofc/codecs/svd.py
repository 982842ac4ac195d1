"""Low rank: the singular vectors of each sample, or a principal basis calibrated once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import Payload, QueuedCoder, StackedCoder
from lamofc.entropy import adaptive, bank, integers, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import reference, relative, uniform
from lamofc.transforms import lowrank, rows
from lamofc.transforms.snap import snap

_WORTH = 3.0  # a component pays for itself above this multiple of the quantisation noise it brings
_TURNED = ("ssm", "conv")  # their states, few, are the basis's dimensions: thousands of channels would not fit
_COLUMNS = 256  # per calibration sample


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Rank by reverse water-filling (Eckart & Young 1936): components below the quantisation noise are dropped.

    step: the knob, in units of the tensor's typical RMS; the rank follows from it.
    basis: "sample" sends both factors of each sample's own decomposition; "calibrated" keeps the principal basis of
        calibration features as an asset and sends coefficients alone.
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "transform"
    kinds: ClassVar[frozenset[str]] = frozenset(interfaces.KINDS) - {"pooled"}
    fitted: ClassVar[bool] = True

    step: float = 0.1
    basis: str = "sample"

    def __post_init__(self) -> None:
        relative.check(self.step)
        if self.basis not in ("sample", "calibrated"):
            raise ValueError(f"basis {self.basis!r} is neither 'sample' nor 'calibrated'")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        if self.basis == "sample":
            return {}
        assets: dict[str, np.ndarray] = {}
        for name, columns in _gather(specs, samples).items():
            usual = columns[:, reference.is_usual(columns)]
            basis, _ = lowrank.principal(usual - usual.mean(1, keepdims=True) if usual.size else usual)
            assets |= {f"{name}/basis": basis} | reference.fit({name: basis.T @ columns})
        return assets

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> QueuedCoder:
        return SampleCoder(self, specs) if self.basis == "sample" else CalibratedCoder(self, specs, assets)


class SampleCoder(StackedCoder):
    """X (channels, positions) = A B: rows of B are singular vectors times their size, A fits X given coded B."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def start_stack(
        self, stack: np.ndarray, shape: tuple[int, ...], specs: Sequence[TensorSpec], queue: adaptive.Queue
    ) -> list[Payload]:
        wide, sizes, encoders = stack.astype(np.float64), reference.column_rms(stack), [Encoder() for _ in specs]
        each = zip(encoders, sizes, wide, strict=True)
        steps = [relative.put_step(e, s, 2 * np.linalg.norm(w), self.codec.step) for e, s, w in each]
        deltas = [step * _share(wide.shape[1:]) for step in steps]
        least = np.sqrt(_WORTH * sum(wide.shape[1:]) / 12)
        found = lowrank.components(wide, [delta * least for delta in deltas])
        for encoder, matrix, (right, singular), delta in zip(encoders, wide, found, deltas, strict=True):
            _put(encoder, matrix, right, singular, delta, queue)
        return [encoder.bytes for encoder in encoders]

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        decoder, size = Decoder(data), (spec.channels, rows.positions(shape, spec))
        step = relative.take_step(decoder, self.codec.step)
        rank = int(integers.take(decoder, 1)[0])
        if rank > min(size):
            raise BitstreamError(f"{spec.name}: rank {rank} of a matrix {size}")
        levels = scales.take(decoder, rank)
        right = adaptive.take(decoder, rank, size[1], _tables(levels, size[1]))
        left = adaptive.take(decoder, rank, size[0], _tables(levels, size[0]))
        decoder.close()
        values = left.T.astype(np.float64) @ (right / np.exp2(levels / bank.PER_OCTAVE)[:, None])
        return rows.from_rows(snap(values * (step * _share(size)), step), spec, shape)


class CalibratedCoder(QueuedCoder):
    """Coefficients in a calibrated principal basis, one step for all, tables from calibrated variances."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec, self._profiles, self._bases, self._means = codec, {}, {}, {}
        self._analysis: dict[str, np.ndarray] = {}
        self._tables: dict[str, np.ndarray] = {}
        for spec in specs:
            size = spec.shape[1] if spec.kind in _TURNED else spec.channels
            self._profiles[spec.name] = reference.load(assets, TensorSpec(spec.name, "pooled", spec.dtype, (size,)))
            self._bases[spec.name] = assets[f"{spec.name}/basis"].astype(np.float64)
            if self._bases[spec.name].shape != (size, size):
                raise ConfigError(f"the basis of {spec.name} is not for {size} channels")
            self._analysis[spec.name] = np.ascontiguousarray(self._bases[spec.name].T, np.float32)
            self._tables[spec.name] = scales.tables(self._profiles[spec.name].levels, codec.step)
            self._means[spec.name] = (self._bases[spec.name] @ self._profiles[spec.name].mean)[:, None]

    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Payload:
        profile, encoder = self._profiles[spec.name], Encoder()
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._analysis[spec.name] @ _turned(rows.to_rows(array, spec), spec) - profile.mean[:, None]
        if not np.isfinite(values).all():  # the largest floats
            values = self._bases[spec.name].T @ _turned(rows.to_rows(array, spec), spec) - profile.mean[:, None]
        step = profile.rms * self.codec.step
        doublings = uniform.coarsening(np.abs(values).max(initial=0), step)
        integers.put_one(encoder, doublings)
        queue.put(encoder, uniform.quantise(values, step * 2.0**doublings), self._known(spec, doublings))
        return encoder.bytes

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        decoder, profile, basis = Decoder(data), self._profiles[spec.name], self._bases[spec.name]
        doublings = min(int(integers.take(decoder, 1)[0]), 255)
        count = spec.channels * rows.positions(shape, spec) // max(len(basis), 1)
        symbols = adaptive.take(decoder, len(basis), count, self._known(spec, doublings))
        decoder.close()
        step = profile.rms * self.codec.step * 2.0**doublings
        rank = int(np.flatnonzero(symbols.any(1))[-1:].sum()) + 1  # components behind the last that is not 0 are idle
        values = step * (basis[:, :rank] @ symbols[:rank].astype(np.float64)) + self._means[spec.name]
        return rows.from_rows(_turned(snap(values, step), spec), spec, shape)

    def _known(self, spec: TensorSpec, doublings: int) -> np.ndarray:
        known = self._tables[spec.name]
        return np.maximum(known - bank.PER_OCTAVE * doublings, 0) if doublings else known


def _gather(specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
    """Evenly spaced columns of all samples -> per tensor (dimensions, columns) float32."""
    found: dict[str, list[np.ndarray]] = {s.name: [] for s in specs}
    for sample in samples:
        for spec in specs:
            columns = _turned(rows.to_rows(sample[spec.name], spec), spec)
            found[spec.name].append(columns[:, :: max(1, columns.shape[1] // _COLUMNS)])
    return {name: np.concatenate(columns, 1) for name, columns in found.items()}


def _turned(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return values.T if spec.kind in _TURNED else values


def _put(
    encoder: Encoder, wide: np.ndarray, right: np.ndarray, singular: np.ndarray, delta: float, queue: adaptive.Queue
) -> None:
    """Rank, levels of the singular values, both factors of one matrix."""
    octaves = np.log2(np.maximum(singular, delta) / delta)
    levels = np.minimum(np.rint(bank.PER_OCTAVE * octaves), bank.MAX_INDEX).astype(np.int32)
    scale = np.exp2(levels / bank.PER_OCTAVE)[:, None]
    right = uniform.quantise(right * scale, 1.0)
    left = uniform.quantise(_fit_left(wide, right / scale), delta)
    integers.put_one(encoder, len(levels))
    scales.put(encoder, levels)
    queue.put(encoder, right, _tables(levels, right.shape[1]))
    queue.put(encoder, left, _tables(levels, left.shape[1]))


def _fit_left(values: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least squares: the left factor, transposed, (r, channels) for which left.T @ right is nearest to values."""
    gram = right @ right.T
    gram.flat[:: len(gram) + 1] += 1e-9
    return np.linalg.solve(gram, right @ values.T)


def _share(shape: tuple[int, int]) -> float:
    """Step of the factors in steps of the elements: at full rank both give the same noise."""
    return float(np.sqrt(max(shape) / max(sum(shape), 1)))


def _tables(levels: np.ndarray, count: int) -> np.ndarray:
    """Bank indices of singular vectors of `count` entries, whose norm is 2^(levels / 4) steps."""
    return np.clip(levels + bank.ORIGIN - round(bank.PER_OCTAVE / 2 * np.log2(max(count, 1))), 0, bank.MAX_INDEX)
