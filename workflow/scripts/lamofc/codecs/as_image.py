"""Base of the codecs that hand features to an image or video coder: what happens before and after it."""

from __future__ import annotations

import math
import struct
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.dtypes import from_float32, numpy_dtype, to_float32
from lamofc.entropy import histogram, integers, planes
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.packing import mosaic
from lamofc.transforms import rows

_FULL = (1 << 16) - 1
_RANGE = struct.Struct("<f")
_LIMIT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ImageCodec(interfaces.Codec):
    """Channel means off, values clipped at a percentile and stretched to 16 bits, laid in planes, coded as images.

    What is clipped goes beside the image without loss, by position. Planes of equal size and kind, such as the keys
    of several layers, are stacked into one image.

    clip: share of a tensor's magnitudes inside the image's range; 1 keeps all.
    packing: "grid" makes every channel of an image's tokens a tile; "matrix" lays tokens by channels.
    order: "energy" puts tiles of similar strength side by side, "index" takes channels as they come.
    centre: whether calibrated channel means are taken off.
    """

    family: ClassVar[str] = "image"
    fitted: ClassVar[bool] = True

    clip: float = 0.9999
    packing: str = "grid"
    order: str = "index"
    centre: bool = True

    def __post_init__(self) -> None:
        if not 0.5 <= self.clip <= 1:
            raise ValueError(f"clip {self.clip} is not in 0.5 .. 1")
        if self.packing not in ("grid", "matrix") or self.order not in ("index", "energy"):
            raise ValueError(f"packing {self.packing!r}: grid or matrix; order {self.order!r}: index or energy")

    @abstractmethod
    def compress(self, image: np.ndarray) -> bytes:
        """(height, width) uint16 over its full range, sides multiples of 16 -> one coded image."""

    @abstractmethod
    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        """The inverse; BitstreamError on bytes that are no image of that shape."""

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """`<tensor>/mean` float32 and `<tensor>/order` uint16, both (channels,)."""
        out: dict[str, np.ndarray] = {}
        for name, columns in rows.gather(specs, samples).items():
            wide = columns.astype(np.float64)
            mean = wide.mean(1) if wide.size and self.centre else np.zeros(len(wide))
            energy = ((wide - mean[:, None]) ** 2).sum(1)
            ranks = np.argsort(-energy, kind="stable") if self.order == "energy" else np.arange(len(wide))
            out |= {f"{name}/mean": mean.astype(np.float32), f"{name}/order": ranks.astype(np.uint16)}
        return out

    def plane_size(self, spec: TensorSpec, shape: tuple[int, ...]) -> int:
        """Values of the plane that a tensor of this shape becomes, padding included."""
        return math.prod(mosaic.layout(spec, shape, self.packing == "grid", range(shape[-1])).plane_shape)

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder:
    """Per tensor its image (empty where an earlier tensor's image holds it too), and its range and outliers."""

    def __init__(self, codec: ImageCodec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        self.codec, self.specs = codec, list(specs)
        names = [s.name for s in specs]
        self.sections = names + [f"{n}/clipped" for n in names]
        try:
            self._assets = {n: (assets[f"{n}/mean"], assets[f"{n}/order"]) for n in names}
        except KeyError as error:
            raise ConfigError(f"no asset {error}: fit the codec on calibration features") from None

    def encode(self, sample: Sample) -> list[bytes]:
        out = dict.fromkeys(self.sections, b"")
        for members in self._groups({s.name: sample[s.name].shape for s in self.specs}):
            parts = []
            for spec, layout in members:
                plane, out[f"{spec.name}/clipped"] = self._stretched(sample[spec.name], spec)
                parts.append(layout.pack(plane))
            out[members[0][0].name] = self.codec.compress(np.concatenate(parts))
        return [out[n] for n in self.sections]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        data = dict(zip(self.sections, sections, strict=True))
        found = {s.name: from_float32(np.zeros(shapes[s.name], np.float32), s.dtype) for s in self.specs}
        for members in self._groups(shapes):
            sizes = [layout.plane_shape for _, layout in members]
            total = sum(h for h, _ in sizes), sizes[0][1]
            image = self.codec.decompress(data.pop(members[0][0].name), total)
            for (spec, layout), plane in zip(members, np.split(image, len(members)), strict=True):
                values = layout.unpack(plane)
                found[spec.name] = self._shrunk(values, data.pop(f"{spec.name}/clipped"), spec)
        if any(data.values()):
            raise BitstreamError(f"bytes where none belong: {', '.join(n for n, d in data.items() if d)}")
        return found

    def _groups(self, shapes: Mapping[str, tuple[int, ...]]) -> list[list[tuple[TensorSpec, object]]]:
        groups = defaultdict(list)
        for spec in self.specs:
            if np.prod(shapes[spec.name]):
                order = self._assets[spec.name][1]
                layout = mosaic.layout(spec, shapes[spec.name], self.codec.packing == "grid", order)
                groups[spec.kind, layout.plane_shape].append((spec, layout))
        return list(groups.values())

    def _stretched(self, array: np.ndarray, spec: TensorSpec) -> tuple[np.ndarray, bytes]:
        """-> 16-bit values in natural shape; range, and values outside it by position."""
        centred = to_float32(array).astype(np.float64) - self._mean(spec, array.shape)
        sizes = np.abs(centred)
        half = np.float32(min(np.quantile(sizes, self.codec.clip, method="higher"), _LIMIT))
        outside = np.flatnonzero(sizes > half)
        level = np.clip(centred / max(float(half), 1e-300), -1, 1) * (_FULL / 2) + _FULL / 2
        encoder = Encoder()
        integers.put(encoder, np.array([len(outside)]))
        integers.put(encoder, np.diff(outside, prepend=-1) - 1)
        for plane in planes.split(array.ravel()[outside]):
            histogram.put(encoder, plane, 256)
        return np.rint(level).astype(np.uint16), _RANGE.pack(half) + encoder.bytes()

    def _shrunk(self, levels: np.ndarray, data: bytes, spec: TensorSpec) -> np.ndarray:
        if len(data) < _RANGE.size:
            raise BitstreamError(f"{spec.name}: range is cut off")
        (half,) = _RANGE.unpack_from(data)
        if not 0 <= half <= _LIMIT:
            raise BitstreamError(f"{spec.name}: range {half} is none")
        wide = (levels.astype(np.float64) * (2 / _FULL) - 1) * half + self._mean(spec, levels.shape)
        out = from_float32(np.clip(wide, -_LIMIT, _LIMIT).astype(np.float32), spec.dtype)
        decoder = Decoder(data[_RANGE.size :])
        count = int(integers.take(decoder, 1)[0])
        if count > out.size:
            raise BitstreamError(f"{spec.name}: {count} values outside the range of {out.size}")
        places = np.cumsum(integers.take(decoder, count) + 1) - 1
        width = numpy_dtype(spec.dtype).itemsize
        exact = np.stack([histogram.take(decoder, count, 256).astype(np.uint8) for _ in range(width)])
        decoder.close()
        if count and places[-1] >= out.size:
            raise BitstreamError(f"{spec.name}: position {places[-1]} is outside its {out.size} values")
        out.ravel()[places] = planes.merge(exact, spec.dtype, (count,))
        return out

    def _mean(self, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        """Channel means over a tensor's natural shape, float32."""
        spread = np.repeat(self._assets[spec.name][0][:, None], rows.positions(shape, spec), 1)
        return rows.from_rows(spread, replace(spec, dtype="float32"), shape)
