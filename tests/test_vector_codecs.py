"""Product quantisers: what gains undo, what training through a tail gains, what indices cost."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.codecs import fcvq, opq, orfc
from lamofc.interfaces import TensorSpec
from lamofc.quantisers import product

SPEC = TensorSpec("tokens", "tokens", "float32", (None, 16))
BOOKS = {"8x32": opq.BOOKS["8x32"]}


def samples(count, length=40, seed=0):
    """Correlated tokens; the first two of 16 directions matter to the tail, the others hold most of the energy."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(np.random.default_rng(9).standard_normal((16, 16)))[0] * np.linspace(0.5, 3, 16)
    return [{"tokens": (rng.standard_normal((length, 16)) @ mixing.T).astype(np.float32)} for _ in range(count)]


def columns(found):
    return np.concatenate([s["tokens"] for s in found]).T


def coded(codec, assets, sample):
    coder = codec.coder([SPEC], assets)
    sections = coder.encode(sample)
    return sum(map(len, sections)), coder.decode(sections, {"tokens": sample["tokens"].shape})["tokens"]


@pytest.mark.parametrize("codec", [opq.Codec("8x256"), orfc.Codec("8x256"), fcvq.Codec("8x1024")])
def test_decoded_vectors_are_not_smaller_on_the_whole(codec):
    """Means of cells alone keep too little of a vector, by more than a tenth here; gains keep it."""
    found = samples(40)
    assets = codec.fit([SPEC], found)
    centred = columns(found) - assets["tokens/mean"][:, None]
    kept = {}
    for name in ("with", "without"):
        held = {k: v for k, v in assets.items() if name == "with" or not k.endswith("/gains")}
        decoded = np.concatenate([coded(codec, held, s)[1] for s in found]).T - assets["tokens/mean"][:, None]
        kept[name] = float((decoded * centred).sum() / (centred**2).sum())
    assert kept["with"] == pytest.approx(1, abs=0.03) and kept["without"] < 0.97 * kept["with"], kept


def test_indices_cost_their_entropy():
    codec, found = fcvq.Codec("4x1024"), samples(60)
    assets = codec.fit([SPEC], found)
    indices = product.Product(assets, "tokens", codec.books, 4, codec.pressure, True).assign(columns(found))
    entropy = 0.0
    for row in indices:
        share = np.bincount(row) / row.size
        entropy -= row.size * float((share[share > 0] * np.log2(share[share > 0])).sum())
    whole = {"tokens": np.concatenate([s["tokens"] for s in found])}
    assert 8 * coded(codec, assets, whole)[0] < 1.05 * entropy + 200


def test_where_no_tensor_has_vectors_nothing_is_trained():
    from lamofc.training import through_tail

    lines, tail = [], through_tail.Tail(lambda received, side: received["latent"], [], [])
    assert through_tail.train(orfc.Codec("8x256"), BOOKS, {}, [], tail, lines.append) == {}
    assert lines == ["nothing to train: no tensor has vectors to quantise"]


def test_training_through_a_tail_pays_where_the_tail_looks(monkeypatch):
    torch = pytest.importorskip("torch")
    from lamofc.training import through_tail

    monkeypatch.setattr(through_tail, "STEPS", 100)
    monkeypatch.setattr(through_tail, "RATES", {"skew": 3e-2, "scales": 9e-2, "books": 1e-2, "logits": 1e-3})
    torch.manual_seed(0)
    weights = torch.tensor(np.random.default_rng(1).standard_normal((16, 3)), dtype=torch.float32)
    weights[2:] *= 0.1
    found, codec = samples(40), orfc.Codec("8x32")
    tail = through_tail.Tail(lambda received, side: torch.tanh(received["tokens"] @ weights), found, [{}] * 40)
    start, lines = product.fit("tokens", columns(found), BOOKS, codec.pressure, np.eye(16)), []
    trained = through_tail.train(codec, BOOKS, start, [SPEC], tail, lines.append)
    again = through_tail.train(codec, BOOKS, start, [SPEC], tail, lambda line: None)
    assert all(np.array_equal(trained[k], again[k]) for k in trained), "two trainings differ"
    assert lines[-1].endswith("kept") and sum("loss" in line for line in lines) == 10
    fresh, damage, size = samples(10, seed=5), {}, {}
    for name, assets in (("start", start), ("trained", trained)):
        results = [coded(codec, assets, s) for s in fresh]
        size[name] = sum(r[0] for r in results)
        pairs = [np.stack([s["tokens"], r[1]]) for s, r in zip(fresh, results, strict=True)]
        outputs = [torch.tanh(torch.tensor(pair) @ weights) for pair in pairs]
        damage[name] = float(sum(((a - b) ** 2).sum() for a, b in outputs))
    assert damage["trained"] < 0.7 * damage["start"] and size["trained"] < 1.1 * size["start"], (damage, size)


def test_the_trained_rotation_is_one():
    torch = pytest.importorskip("torch")
    from lamofc.training import through_tail

    found = samples(4)
    assets = product.fit("tokens", columns(found), BOOKS, 0.5, np.eye(16))
    net = through_tail._Net(assets, "tokens", "8x32", 8, 0.5)
    with torch.no_grad():
        net.parameters["skew"].copy_(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))
        rotation = net.rotation()
        assert torch.allclose(rotation @ rotation.T, torch.eye(16), atol=1e-5)
