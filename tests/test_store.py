"""The feature store: exact round trips, and every kind of damage noticed."""

import shutil

import ml_dtypes
import numpy as np
import pytest
import xarray

from lamofc import store
from lamofc.dtypes import to_bits
from lamofc.errors import FeatureError, StoreError
from lamofc.interfaces import TensorSpec
from lamofc.store import FeatureReader, FeatureWriter, write_all

SPECS = (
    TensorSpec("out", "tokens", "float32", (None, 6), attributes={"grid": [2, 2], "prefix": 1}),
    TensorSpec("k.0", "key", "bfloat16", (2, None, 4), layer=0, attributes={"rope_theta": 1e4}),
    TensorSpec("ssm", "ssm", "float16", (8, 4)),
    TensorSpec("pool", "pooled", "float32", (5,)),
)
LENGTHS = (3, 0, 17, 1)


def make(lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    types = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
    return [
        (f"s{i}", {s.name: rng.standard_normal(s.resolve(n)).astype(types[s.dtype]) for s in SPECS})
        for i, n in enumerate(lengths)
    ]


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and np.array_equal(to_bits(a[k]), to_bits(b[k]))
        for k in a
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "part.zarr"
    write_all(path, SPECS, make())
    return path


def files(path):
    return sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file())


def test_round_trip(path):
    reader = FeatureReader(path)
    assert reader.specs == SPECS and reader.ids == ["s0", "s1", "s2", "s3"] and len(reader) == 4
    assert all(same(a, b) for a, (_, b) in zip(reader, make(), strict=True))
    assert same(reader[2], make()[2][1])
    assert [len(s["out"]) for s in reader.read(1, 3)] == [0, 17]
    assert reader.elements() == sum(sum(a.size for a in s.values()) for _, s in make())


def test_many_shards_and_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK_BYTES", 64)
    monkeypatch.setattr(store, "CHUNKS_PER_SHARD", 2)
    monkeypatch.setattr(store, "BLOCK_BYTES", 600)
    samples = make(lengths=(40, 0, 7, 3, 3, 90))
    write_all(tmp_path / "a.zarr", SPECS, samples)
    reader = FeatureReader(tmp_path / "a.zarr")
    assert len(files(tmp_path / "a.zarr")) > 40
    assert all(same(a, b) for a, (_, b) in zip(reader, samples, strict=True))


def test_bytes_are_deterministic(path, tmp_path):
    write_all(tmp_path / "again.zarr", SPECS, make())
    assert files(path) == files(tmp_path / "again.zarr")
    assert all((path / f).read_bytes() == (tmp_path / "again.zarr" / f).read_bytes() for f in files(path))


@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_stores_of_nothing(tmp_path, lengths):
    write_all(tmp_path / "a.zarr", SPECS, make(lengths))
    assert all(same(a, b) for a, (_, b) in zip(FeatureReader(tmp_path / "a.zarr"), make(lengths), strict=True))


def test_zero_channels(tmp_path):
    specs = [TensorSpec("a", "tokens", "float32", (None, 0)), TensorSpec("b", "pooled", "float32", (0,))]
    write_all(tmp_path / "a.zarr", specs, [("x", {"a": np.zeros((4, 0), np.float32), "b": np.zeros(0, np.float32)})])
    assert FeatureReader(tmp_path / "a.zarr")[0]["a"].shape == (4, 0)


def test_xarray_opens_it(path):
    data = xarray.open_zarr(path, consolidated=False)
    assert data["out"].shape == (21, 6) and data["lengths"].dims == ("sample", "tensor")
    assert data["k.0"].attrs["logical_dtype"] == "bfloat16" and data["k.0"].dtype == np.uint16
    keys = data["k.0"].to_numpy().view(ml_dtypes.bfloat16)
    assert np.array_equal(np.moveaxis(keys[:3], 0, 1), make()[0][1]["k.0"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("tensor", ["out", "k.0", "ssm"])
def test_refuses_values_that_are_not_finite(tmp_path, bad, tensor):
    name, sample = make()[0]
    sample[tensor].ravel()[1] = bad
    with pytest.raises(FeatureError, match=f"sample s0, tensor {tensor}: 1 of"):
        FeatureWriter(tmp_path / "a.zarr", SPECS).add(name, sample)


def test_refuses_wrong_shape_dtype_and_names(tmp_path):
    writer = FeatureWriter(tmp_path / "a.zarr", SPECS)
    _, sample = make()[0]
    for change in ({"pool": np.zeros(4, np.float32)}, {"pool": np.zeros(5)}, {"more": np.zeros(5, np.float32)}):
        with pytest.raises(FeatureError):
            writer.add("x", sample | change)


def test_refuses_to_overwrite(path):
    with pytest.raises(StoreError, match="exists already"):
        FeatureWriter(path, SPECS)


def test_missing_or_foreign_store(tmp_path):
    with pytest.raises(StoreError, match="no such feature store"):
        FeatureReader(tmp_path / "none.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        FeatureReader(tmp_path / "folder")


def test_unfinished_store(tmp_path):
    writer = FeatureWriter(tmp_path / "a.zarr", SPECS)
    writer.add(*make()[0])
    with pytest.raises(StoreError, match="not written to its end"):
        FeatureReader(tmp_path / "a.zarr")


def test_every_deleted_file_is_noticed(path, tmp_path):
    for file in files(path):
        copy = shutil.copytree(path, tmp_path / "copy.zarr")
        (copy / file).unlink()
        with pytest.raises(StoreError):
            list(FeatureReader(copy))
        shutil.rmtree(copy)


def test_flipped_bytes_are_noticed_or_harmless(path):
    """Zarr has bytes that no reader looks at, such as gaps of a shard: a flip must never change what is read."""
    rng = np.random.default_rng(1)
    for file in files(path):
        data = (path / file).read_bytes()
        for at in rng.integers(0, len(data), 25).tolist():
            (path / file).write_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
            try:
                reader = FeatureReader(path)
                assert reader.specs == SPECS and reader.ids == [name for name, _ in make()]
                assert all(same(a, b) for a, (_, b) in zip(reader, make(), strict=True))
            except StoreError:
                pass
        (path / file).write_bytes(data)


def test_truncated_chunks_are_noticed(path):
    for file in files(path):
        data = (path / file).read_bytes()
        for size in (0, 1, len(data) // 2, len(data) - 1):
            (path / file).write_bytes(data[:size])
            with pytest.raises(StoreError):
                list(FeatureReader(path))
        (path / file).write_bytes(data)
