"""Codecs of inputs: what comes back, what a damaged file is called, and the contract of every row."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc import inputs
from lamofc.errors import BitstreamError, ConfigError
from lamofc.inputs import stream

ROWS = yaml.safe_load((Path(__file__).parents[1] / "config/inputs.yaml").read_text())


def sample(modality, size=0):
    rng = np.random.default_rng(size)
    if modality == "image":
        y, x = np.mgrid[0 : 61 + size, 0:83]
        waves = 120 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)
        return {"image": np.stack([waves, waves[::-1], waves * 0.7], -1).astype(np.uint8)}
    if modality == "audio":
        t = np.arange(16000 + 777 * size) / 16000
        sound = 0.3 * np.sin(2 * np.pi * 300 * t * (1 + 0.3 * t)) + 0.01 * rng.standard_normal(len(t))
        return {"audio": (np.round(sound * 32768) / 32768).astype(np.float32)}
    return {"ids": rng.integers(0, 49152, 40 + size)}


def error(a, b):
    """Mean squared error over the energy."""
    (x,), (y,) = a.values(), b.values()
    assert x.shape == y.shape and x.dtype == y.dtype
    x, y = x.astype(float), y.astype(float)
    return float(((x - y) ** 2).sum() / (x**2).sum())


@pytest.mark.parametrize("name", ROWS)
def test_every_row_falls_in_rate_and_keeps_shape(name):
    row, cls = ROWS[name], inputs.load(ROWS[name]["input"])
    given = sample(cls.modality)
    sizes = []
    for point in row["ladder"]:
        coder = inputs.build(inputs.at_point(row, point))
        data = coder.encode(given)
        assert data == coder.encode(given)
        found = coder.decode(data)
        assert error(given, found) < 0.3
        sizes.append(len(data))
    assert all(a > b for a, b in itertools.pairwise(sizes)), sizes


@pytest.mark.parametrize(("name", "point"), [("jpegxl", 0), ("flac", 16), ("ids", 9)])
def test_lossless_points_are(name, point):
    coder = inputs.build(inputs.at_point({"input": name}, point))
    for size in range(3):
        given = sample(coder.modality, size)
        assert error(given, coder.decode(coder.encode(given))) == 0


def test_opus_is_aligned_in_time():
    coder = inputs.build(inputs.at_point({"input": "opus"}, 64))
    for size in range(3):
        given = sample("audio", size)
        assert error(given, coder.decode(coder.encode(given))) < 0.02


@pytest.mark.parametrize("ids", [[], [0], [65535], [65536, 1], [7] * 1000])
def test_ids_of_any_size_come_back(ids):
    coder = inputs.build(inputs.at_point({"input": "ids"}, 9))
    assert coder.decode(coder.encode({"ids": np.array(ids, np.int64)}))["ids"].tolist() == ids


def test_files_come_back_and_damage_is_named(tmp_path):
    path, packets = tmp_path / "a.lmin", [b"one", b"", b"three" * 50][::2]
    codec = {"input": "ids", "parameters": {"level": 9}}
    stream.write(path, codec, packets)
    found, read = stream.read(path)
    assert found == codec and list(read) == packets
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(BitstreamError, match=r"a\.lmin"):
                list(stream.read(path)[1])


@pytest.mark.parametrize("entry", [{"input": "nosuch", "parameters": {}}, {"input": "ids", "parameters": {"lvl": 1}},
                                   {"input": "webp", "parameters": {"quality": 101}}])  # fmt: skip
def test_unknown_names_and_values_are_refused(entry):
    with pytest.raises(ConfigError):
        inputs.build(entry)


def test_an_instruction_beside_the_sound_is_kept_where_all_samples_share_it(tmp_path):
    from lamofc.stages.code_inputs import _common, _words

    shared = {n: _words({"audio": np.zeros(1), "text": "Say it again"}) for n in ("a", "b")}
    assert _common(shared, tmp_path) == {"text": "Say it again"} and _common({"a": {}}, tmp_path) == {}
    with pytest.raises(ConfigError, match="sample c has text of its own"):
        _common(shared | {"c": {"text": "Another"}}, tmp_path)


@pytest.mark.parametrize("field", ["prompt", "question", "text"])
def test_text_is_measured_whatever_its_field_is_called(field, tmp_path):
    from lamofc.results.inputs import compressed

    assert compressed(tmp_path, {field: "ab" * 200}) == ("UTF-8 text", zlib.compress(b"ab" * 200, 9))
    assert compressed(tmp_path, {field: "a"})[1] == b"a"


def test_sound_is_measured_as_it_is_sent(tmp_path, monkeypatch):
    from lamofc.results.inputs import compressed
    from lamofc.tasks import items

    sound = sample("audio")["audio"]
    monkeypatch.setattr(items, "audio", lambda path: sound)
    form, data = compressed(tmp_path, {"audio": "a.wav"})
    assert form == "FLAC" and np.array_equal(
        inputs.build({"input": "flac", "parameters": {}}).decode(data)["audio"], sound
    )
