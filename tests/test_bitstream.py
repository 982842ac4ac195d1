"""The bitstream file against truncation, flips, swaps and forgery with repaired checksums."""

import json
import struct
import zlib

import numpy as np
import pytest

from lamofc import features, packet, varint
from lamofc.bitstream import BitstreamReader, BitstreamWriter, layout
from lamofc.dtypes import from_float32
from lamofc.errors import BitstreamError, ConfigError, FeatureError, LamofcError
from lamofc.interfaces import TensorSpec

ENTRY = {"codec": "identity", "parameters": {}}
SPECS = (
    TensorSpec("out", "tokens", "float32", (None, 3), layer=4),
    TensorSpec("k.0", "key", "bfloat16", (2, None, 4), layer=0, attributes={"rope_theta": 1e4}),
    TensorSpec("pool", "pooled", "float16", (5,)),
)


def sample(length, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {s.name: s.resolve(length) for s in SPECS}
    from lamofc.dtypes import numpy_dtype

    return {s.name: rng.standard_normal(shapes[s.name]).astype(numpy_dtype(s.dtype)) for s in SPECS}


def write(path, lengths=(4, 0, 1), hashes=None):
    samples = [sample(n, i) for i, n in enumerate(lengths)]
    with BitstreamWriter(path, ENTRY, SPECS, {}, hashes or {}) as writer:
        for one in samples:
            writer.add(one)
    return samples


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.lmfc"
    return path, write(path)


def read(path, data=None, **kwargs):
    if data is not None:
        path.write_bytes(data)
    reader = BitstreamReader(path, {}, **kwargs)
    return [reader.decode(i) for i in range(len(reader))]


def equal(a, b):
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)


def forge_header(data, change):
    """The same file with `change` applied to its header and every CRC made right again."""
    header, end = layout.unpack_header(data)
    out = change(header)
    raw = json.dumps(header if out is None else out).encode()
    body = zlib.compress(raw)
    head = layout.PREFIX.pack(b"LMFC", 1, len(body), len(raw)) + body
    head += struct.pack("<I", zlib.crc32(head))
    return refooter(head + data[end:], len(head) - end)


def refooter(data, shift):
    size = layout.FOOTER.size
    offset, length, count, _, _ = layout.FOOTER.unpack(data[-size:])
    covered = data[offset + shift : -size] + struct.pack("<QII", offset + shift, length, count)
    return data[: offset + shift] + covered + struct.pack("<I", zlib.crc32(covered)) + b"CFML"


def test_varint_round_trip():
    values = [0, 1, 127, 128, 300, 2**32, 2**56 - 1, 2**63 - 1]
    for value in values:
        assert varint.take(varint.put(value), 0) == (value, len(varint.put(value)))
    joined = b"".join(map(varint.put, values))
    at, out = 0, []
    while at < len(joined):
        value, at = varint.take(joined, at)
        out.append(value)
    assert out == values
    assert len(varint.put(127)) == 1 and len(varint.put(2**63 - 1)) == 9


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9 + b"\x01", b"\x80" * 20, b"\x80\x00", b"\x01\x80"[1:]])
def test_varint_refuses(data):
    with pytest.raises(BitstreamError):
        varint.take(data, 0)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_varint_refuses_to_put(value):
    with pytest.raises(ValueError):
        varint.put(value)


@pytest.mark.parametrize("lengths", [(), (3,), (7, 7, 7), (1, 2, 300), (0, 0)])
def test_packet_round_trip(lengths):
    data = packet.pack(5, lengths, [b"abc", b"", b"x" * 200], 77)
    out = packet.unpack(5, data, len(lengths), 3)
    assert out == packet.Packet(lengths, (b"abc", b"", b"x" * 200), 77)
    with pytest.raises(BitstreamError, match="CRC-32"):
        packet.unpack(6, data, len(lengths), 3)


def forged_packet(body):
    data = body + struct.pack("<I", 0)
    return data + struct.pack("<I", zlib.crc32(data))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x02\x01\x00",  # neither equal nor apart
        b"\x01",  # no lengths
        b"\x01\x03" + varint.put(2**63 - 1) + varint.put(2**63 - 1) + b"ab",  # sizes that overflow to 2^64 - 2
        b"\x01\x03\x01\x00",  # one byte claimed, none there
        b"\x01\x03\x00\x00a",  # a byte too many
    ],
)
def test_packet_refuses_forgery(body):
    with pytest.raises(BitstreamError):
        packet.unpack(0, forged_packet(body), 1, 2)


def test_index_refuses_overflow():
    with pytest.raises(BitstreamError):
        packet.unpack_index(varint.put(2**63 - 1) * 2, 2)
    with pytest.raises(BitstreamError):
        packet.unpack_index(b"\x01", 1 << 30)


def test_round_trip(file):
    path, samples = file
    assert all(equal(a, b) for a, b in zip(samples, read(path), strict=True))
    reader = BitstreamReader(path, {})
    assert equal(reader.decode(2), samples[2]) and reader.specs == SPECS
    assert reader.packet(1).lengths == (0, 0)


def test_no_samples(tmp_path):
    path = tmp_path / "empty.lmfc"
    write(path, lengths=())
    assert read(path) == []


def test_writes_equal_bytes_and_leaves_no_partial_file(file, tmp_path):
    path, _ = file
    write(tmp_path / "b.lmfc")
    assert path.read_bytes() == (tmp_path / "b.lmfc").read_bytes()
    with pytest.raises(FeatureError), BitstreamWriter(tmp_path / "c.lmfc", ENTRY, SPECS, {}, {}) as writer:
        writer.add({"out": np.zeros((1, 3), np.float32)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.lmfc", "b.lmfc"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_values_that_are_not_finite(tmp_path, bad):
    one = sample(4)
    one["k.0"][1, 2, 3] = bad
    with (
        pytest.raises(FeatureError, match=r"the-id, tensor k\.0: 1 of 32 values are NaN or infinite"),
        BitstreamWriter(tmp_path / "a.lmfc", ENTRY, SPECS, {}, {}) as writer,
    ):
        writer.add(one, "the-id")


def test_every_truncation_is_refused(file):
    path, _ = file
    data = path.read_bytes()
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            read(path, data[:size])


def test_every_flipped_byte_is_refused(file):
    path, _ = file
    data = path.read_bytes()
    for at in range(len(data)):
        with pytest.raises(BitstreamError):
            read(path, data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])


def test_swapped_packets_are_refused(tmp_path):
    path = tmp_path / "a.lmfc"
    write(path, lengths=(4, 4))
    reader = BitstreamReader(path)
    a, b, c = reader._offsets.tolist()
    data = path.read_bytes()
    with pytest.raises(BitstreamError, match="packet 0"):
        read(path, data[:a] + data[b:c] + data[a:b] + data[c:])


def test_wrong_asset_hash_is_refused(tmp_path):
    path = tmp_path / "a.lmfc"
    write(path, hashes={"assets.npz": "0" * 64})
    for have in ({}, {"assets.npz": "1" * 64}, {"other.npz": "0" * 64}):
        with pytest.raises(BitstreamError, match=r"assets\.npz"):
            read(path, asset_hashes=have)
    assert len(read(path, asset_hashes={"assets.npz": "0" * 64})) == 3


def test_unknown_version_is_refused(file):
    path, _ = file
    data = bytearray(path.read_bytes())
    data[4] = 9
    with pytest.raises(BitstreamError, match="version 9"):
        read(path, bytes(data))


def test_unknown_codec_is_refused(file):
    path, _ = file
    for name in ("no-such-codec", "../identity", "composite", "", 5, None):
        forged = forge_header(path.read_bytes(), lambda h, name=name: h["codec"].update(codec=name))
        with pytest.raises(BitstreamError):
            read(path, forged)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["tensors"][0].update(shape=[None, 2**40]),
        lambda h: h["tensors"][0].update(shape=[None, -3]),
        lambda h: h["tensors"][0].update(shape=[None, 3.0]),
        lambda h: h["tensors"][0].update(shape=[True, 3]),
        lambda h: h["tensors"][0].update(shape="ab"),
        lambda h: h["tensors"][0].update(name="../../x"),
        lambda h: h["tensors"][0].update(name="pool"),
        lambda h: h["tensors"][0].update(dtype="object"),
        lambda h: h["tensors"][0].update(surprise=1),
        lambda h: h["tensors"].pop(),
        lambda h: h["sections"].pop(),
        lambda h: h.update(sections="ab"),
        lambda h: h.update(assets=[]),
        lambda h: h.update(tensors={}),
        lambda h: h.update(codec=[]),
        lambda h: h.pop("assets") and None,
        lambda h: h["codec"].update(parameters={"nonsense": 1}),
        lambda h: h["codec"].update(parameters=[1]),
        lambda h: 5,
        lambda h: ["assets", "codec", "sections", "tensors"],
    ],
)
def test_forged_headers_are_refused(file, change):
    path, _ = file
    with pytest.raises(BitstreamError):
        read(path, forge_header(path.read_bytes(), change))


def test_header_bomb_is_refused(file):
    path, _ = file
    body = zlib.compress(bytes(1 << 22))
    for raw in (0, 10, 1 << 22, (1 << 32) - 1):
        head = layout.PREFIX.pack(b"LMFC", 1, len(body), raw) + body
        with pytest.raises(BitstreamError):
            read(path, head + struct.pack("<I", zlib.crc32(head)) + bytes(100))


def test_huge_claimed_lengths_are_refused(file):
    path, _ = file
    data = path.read_bytes()
    _, start = layout.unpack_header(data)
    for length in (2**27, 2**40, 2**63 - 1):
        one = packet.pack(0, [length, length], [b"", b"", b""], 0)
        index = packet.pack_index([len(one)])
        body = data[:start] + one + index
        head = struct.pack("<QII", start + len(one), len(index), 1)
        forged = body + head + struct.pack("<I", zlib.crc32(index + head)) + b"CFML"
        with pytest.raises(BitstreamError, match="claims"):
            read(path, forged)


def test_max_elements_of_the_reader(file):
    path, samples = file
    with pytest.raises(BitstreamError, match="claims 49 elements"):
        read(path, max_elements=48)
    assert features.elements(samples[0]) == 49 and len(read(path, max_elements=49)) == 3


def test_decoder_that_disagrees_is_noticed(file, monkeypatch):
    path, _ = file
    from lamofc.codecs import identity

    decode = identity.Coder.decode_tensor
    monkeypatch.setattr(identity.Coder, "decode_tensor", lambda *a: decode(*a) * decode(*a).dtype.type(2))
    with pytest.raises(BitstreamError, match="decodes to other values"):
        read(path)


def test_reader_without_assets_only_inspects(file):
    path, _ = file
    reader = BitstreamReader(path)
    assert [len(s) for s in reader.packet(0).sections] == [48, 64, 10]
    with pytest.raises(LamofcError, match="opened without assets"):
        reader.decode(0)


def test_a_tensor_has_an_axis():
    """The fuzzer's find: a forged header with shape () made one codec hand out (1,)."""
    with pytest.raises(ConfigError, match=r"tensor latent0: shape \(\) has no axis; a single number has shape \(1,\)"):
        TensorSpec("latent0", "latent", "float32", ())
    assert from_float32(np.float32(3).reshape(()), "float32").shape == ()


@pytest.mark.parametrize("theta", [0, -1.0, 0.5, float("nan"), float("inf"), True, None, "1e4", [1e4]])
def test_keys_turn_by_a_number(theta):
    """Forged ones overflowed in float32, in a warning of NumPy's."""
    with pytest.raises(ConfigError, match=r"tensor k: rope_theta .* is no finite number of 1 or more"):
        TensorSpec("k", "key", "float32", (2, None, 4), attributes={"rope_theta": theta})
