"""Feature stores: a sharded Zarr v3 group per (curve, part), ragged samples as rows and lengths.

Each tensor is one array: the ragged axis first, samples one after another. bfloat16 is stored as its
bits (uint16) with the attribute `logical_dtype`. A store is marked complete when it is closed, and every
chunk is looked for when it is opened, since Zarr reads a lost chunk as zeros without a word. Chunks carry
a CRC-32C; the metadata, which Zarr does not protect, a CRC-32 in the attributes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from lamofc import features
from lamofc.dtypes import bits_of, from_bits, numpy_dtype, to_bits
from lamofc.errors import StoreError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.jsonio import dumps

CHUNK_BYTES = 1 << 18
CHUNKS_PER_SHARD = 64
BLOCK_BYTES = 1 << 24  # how much the reader takes at a time; it holds twice that between two blocks
LENGTHS = "lengths"  # the array beside the tensors


class FeatureWriter:
    """Append samples to a new store. Holds at most one shard per tensor in memory."""

    def __init__(self, path: Path, specs: Sequence[TensorSpec]) -> None:
        self.path, self.specs = Path(path), tuple(specs)
        if self.path.exists():
            raise StoreError(f"{path}: exists already; delete it or choose another name")
        self._group = zarr.open_group(str(path), mode="w-", zarr_format=3)
        self._columns = [_Column(self._group, s) for s in self.specs]
        self._lengths: list[list[int]] = []
        self._ids: list[str] = []

    def add(self, sample_id: str, sample: Sample) -> None:
        """Append one sample; FeatureError, naming the sample, on NaN, wrong shape or dtype."""
        features.check(sample, self.specs, f"sample {sample_id}")
        for column in self._columns:
            column.add(sample[column.spec.name])
        self._lengths.append([_rows(sample[s.name], s).shape[0] for s in self.specs])
        self._ids.append(sample_id)

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Flush, write lengths, and mark the store complete."""
        for column in self._columns:
            column.flush()
        data = np.asarray(self._lengths, np.int64).reshape(len(self._ids), len(self.specs))
        self._group.create_array(
            LENGTHS,
            data=data,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
            dimension_names=("sample", "tensor"),
        )
        attributes = {"tensors": [_to_json(s) for s in self.specs], "ids": self._ids, "complete": True}
        self._group.attrs.update(attributes | {"crc32": _metadata_crc(self.path, attributes)})


class _Column:
    """One tensor's array, written a shard at a time."""

    def __init__(self, group: zarr.Group, spec: TensorSpec) -> None:
        self.spec, self._rows, self._pending, self._written = spec, [], 0, 0
        rest = _row_shape(spec)
        row_bytes = max(1, int(np.prod(rest)) * bits_of(spec.dtype) // 8)
        chunk = max(1, CHUNK_BYTES // row_bytes)
        self._shard = chunk * CHUNKS_PER_SHARD
        self._array = group.create_array(
            spec.name,
            shape=(0, *rest),
            dtype={"bfloat16": "uint16"}.get(spec.dtype, spec.dtype),
            chunks=(chunk, *(max(n, 1) for n in rest)),
            shards=(self._shard, *(max(n, 1) for n in rest)),
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
            dimension_names=(f"{spec.name}.row", *(f"{spec.name}.{i}" for i in range(len(rest)))),
            attributes={"logical_dtype": spec.dtype},
        )

    def add(self, array: np.ndarray) -> None:
        rows = _rows(array, self.spec)
        self._rows.append(to_bits(rows) if self.spec.dtype == "bfloat16" else rows)
        self._pending += len(rows)
        while self._pending >= self._shard:
            self._write(self._shard)

    def flush(self) -> None:
        self._write(self._pending)

    def _write(self, count: int) -> None:
        if not count:
            return
        rows = np.concatenate(self._rows)
        self._array.resize((self._written + count, *rows.shape[1:]))
        self._array[self._written : self._written + count] = rows[:count]
        self._written += count
        self._rows, self._pending = [rows[count:]], len(rows) - count


class FeatureReader:
    """Read a store; iterating yields samples in order, in blocks of bounded memory."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise StoreError(f"{path}: no such feature store; rerun the workflow to make it")
        try:
            self._open()
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path}: not a feature store, or damaged ({error}); delete it and rerun") from error

    def _open(self) -> None:
        self._group = zarr.open_group(str(self.path), mode="r")
        attributes = dict(self._group.attrs)
        if not attributes.get("complete"):
            raise StoreError(f"{self.path}: was not written to its end; delete it and rerun the workflow")
        if attributes.pop("crc32", None) != _metadata_crc(self.path, attributes):
            raise StoreError(f"{self.path}: the metadata do not fit their CRC-32; delete the store and rerun")
        self.specs = tuple(_from_json(t) for t in attributes["tensors"])
        self.ids: list[str] = list(attributes["ids"])
        self._check_chunks()
        lengths = self._group[LENGTHS][:]
        self._offsets = np.concatenate([np.zeros((1, lengths.shape[1]), np.int64), np.cumsum(lengths, 0)])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return next(self.read(index, index + 1))

    def __iter__(self) -> Iterator[Sample]:
        return self.read(0, len(self))

    def elements(self) -> int:
        """Feature points of all samples."""
        return int(self.elements_by_tensor().sum())

    def elements_by_tensor(self) -> np.ndarray:
        """Feature points of each tensor, in spec order, int64."""
        return np.array([np.prod(self._group[s.name].shape, dtype=np.int64) for s in self.specs])

    def read(self, start: int, stop: int) -> Iterator[Sample]:
        """Samples start..stop-1."""
        for first, last in self._blocks(start, stop):
            block = [self._read_rows(j, first, last) for j in range(len(self.specs))]
            for i in range(first, last):
                yield {
                    s.name: _natural(rows[self._offsets[i, j] - base : self._offsets[i + 1, j] - base], s)
                    for j, (s, (rows, base)) in enumerate(zip(self.specs, block, strict=True))
                }
            del block

    def _read_rows(self, j: int, first: int, last: int) -> tuple[np.ndarray, int]:
        spec, base = self.specs[j], self._offsets[first, j]
        try:
            rows = self._group[spec.name][base : self._offsets[last, j]]
        except ValueError as error:
            raise StoreError(f"{self.path}/{spec.name}: damaged chunk ({error}); delete the store and rerun") from error
        rows = np.asarray(rows)
        return (from_bits(rows, spec.dtype) if spec.dtype == "bfloat16" else rows), int(base)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        row_bytes = [int(np.prod(_row_shape(s))) * bits_of(s.dtype) // 8 for s in self.specs]
        sizes = (np.diff(self._offsets, axis=0) * row_bytes).sum(1)
        first, held = start, 0
        for i in range(start, stop):
            if i > first and held + sizes[i] > BLOCK_BYTES:
                yield first, i
                first, held = i, 0
            held += int(sizes[i])
        if first < stop:
            yield first, stop

    def _check_chunks(self) -> None:
        for name, array in self._group.arrays():
            grid = zip(array.shape, array.shards or array.chunks, strict=True)
            wanted = int(np.prod([-(-n // size) for n, size in grid]))
            found = sum(p.is_file() for p in (self.path / name / "c").rglob("*"))
            if found != wanted:
                raise StoreError(
                    f"{self.path}/{name}: {wanted - found} of {wanted} chunk files are missing; "
                    f"delete {self.path.parent} and rerun the workflow"
                )


def write_all(path: Path, specs: Sequence[TensorSpec], samples: Iterable[tuple[str, Sample]]) -> None:
    """Write a whole store from (id, sample) pairs."""
    writer = FeatureWriter(path, specs)
    for sample_id, sample in samples:
        writer.add(sample_id, sample)
    writer.close()


def _metadata_crc(path: Path, attributes: dict[str, object]) -> int:
    crc = zlib.crc32(dumps(attributes).encode())
    for name in sorted([LENGTHS, *(t["name"] for t in attributes["tensors"])]):
        crc = zlib.crc32((path / name / "zarr.json").read_bytes(), crc)
    return crc


def _row_shape(spec: TensorSpec) -> tuple[int, ...]:
    axis = spec.ragged_axis or 0
    return tuple(n for i, n in enumerate(spec.shape) if i != axis)


def _rows(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, spec.ragged_axis or 0, 0))


def _natural(rows: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(rows, 0, spec.ragged_axis or 0), numpy_dtype(spec.dtype))


def _to_json(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "kind": spec.kind, "dtype": spec.dtype, "shape": list(spec.shape),
            "layer": spec.layer, "attributes": spec.attributes}  # fmt: skip


def _from_json(fields: dict) -> TensorSpec:
    return TensorSpec(**{**fields, "shape": tuple(fields["shape"])})
