"""ELIC: the coding network against CompressAI's, streams, other processes, the training rule, the published size."""

import hashlib
import json
import os
import subprocess
import sys
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import feature_samples
import jsonschema
import numpy as np
import pytest
import yaml

from lamofc import codecs, features, networks
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.codecs.dtufc_elic import Codec
from lamofc.errors import BitstreamError
from lamofc.networks import files
from lamofc.stages.train import train
from lamofc.store import write_all

torch = pytest.importorskip("torch")
pytest.importorskip("compressai")

ROOT = Path(__file__).parents[1]
LAMBDAS = [0.3, 0.01]


def roughened(model):
    """Weights that leave no part idle, in values that files keep exactly."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(model.kept) and parameter.ndim > 1:
                parameter.add_(0.03 * torch.randn_like(parameter)).copy_(parameter.half())
    return model.eval()


@pytest.fixture(scope="module")
def gained():
    """The trainable network, small, at two lambdas; its arrays, kept in float32; planes."""
    from lamofc.networks.gained_elic import GainedElic

    torch.manual_seed(0)
    model = GainedElic(8, 24, LAMBDAS)
    model.coarse = ()
    x = torch.rand(2, 1, 48, 80)  # latents 3 x 5: sides that the checkerboard and the hyper-latents do not divide
    model.start_from(x)
    roughened(model)
    for name, parameter in model.named_parameters():
        if name.startswith(model.kept):
            parameter.data = parameter.data.half().float()
    return model, model.export(), x


@pytest.fixture(scope="module")
def network(gained):
    return {f"network/{k}": v for k, v in gained[1].items()}


def coder(specs, network, lmbda=LAMBDAS[0], **parameters):
    entry = {"codec": "dtufc-elic", "parameters": {"lmbda": lmbda} | parameters}
    held = codecs.fit(entry, specs, [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7)])
    return codecs.coder(entry, specs, held | network)


def test_network_is_that_which_was_trained(gained):
    """Reconstructions of the trainable network's forward pass, bytes near its likelihoods, at every lambda."""
    from lamofc.networks.coding import network as coding

    model, arrays, x = gained
    for k, lmbda in enumerate(LAMBDAS):
        found, mine = model(x, k), coding(files.of_lambda(arrays, lmbda, "tiny"))
        payloads = mine.encode(x[:, 0].numpy())
        planes = mine.decode(payloads, 48, 80)
        wanted = found["x_hat"][:, 0].detach().clamp(0, 1).numpy()
        assert np.quantile(np.abs(planes - wanted), 0.9) < 0.01  # means are rounded to 1/64 of a step
        bits = sum(-torch.log2(found[c].detach()).sum().item() for c in "yz")
        assert 0.97 * bits < 8 * sum(map(len, payloads)) < 1.03 * bits + 2 * 64


@pytest.mark.parametrize("variant", ["Elic2022Official", "Elic2022Chandelier"])
def test_network_is_compressais(variant):
    """CompressAI's own classes, their own forward pass: both published layouts of ELIC run from their state dicts."""
    from compressai.models import sensetime
    from compressai.models.utils import conv, deconv

    from lamofc.networks.coding import network as coding
    from lamofc.networks.published import arrays_of

    torch.manual_seed(1)
    model = getattr(sensetime, variant)(16, 32, [2, 2, 4, 8, 16])
    model.g_a[0], model.g_s[14] = conv(1, 16), deconv(16, 1)
    model.eval()
    x = torch.rand(1, 1, 64, 128)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.mul_(1.5)
        found = model(x)
    state = {f"module.{k}": v.numpy() for k, v in model.state_dict().items()}
    mine = coding(files.of_lambda(arrays_of(state, 0.01), 0.01, variant))
    payloads = mine.encode(x[:, 0].numpy())
    wanted = found["x_hat"][:, 0].clamp(0, 1).numpy()
    # Means are rounded to 1/64 of a step here alone, which may move a symbol; a layer amiss gives errors of order one.
    assert np.abs(mine.decode(payloads, 64, 128) - wanted).mean() < 0.03 * wanted.std()
    bits = sum(-torch.log2(p).sum().item() for p in found["likelihoods"].values())
    assert 8 * len(payloads[0]) < 1.05 * bits + 96  # its likelihoods are no smaller than 1e-9, escapes are cheaper


# Widths of ELIC's channel contexts in CompressAI up to 1.2.6, N = 192 and M = 320, which make it the paper's size.
PAPER_CONTEXTS = {"y1": (16, 192, 192, 32), "y2": (32, 192, 192, 64), "y3": (64, 192, 192, 128),
                  "y4": (128, 213, 298, 384)}  # fmt: skip


def test_the_papers_contexts_are_those_of_the_class_that_it_counts():
    from lamofc.networks.gained_elic import GainedPaperElic
    from lamofc.networks.structure import older_contexts

    def widths(contexts):
        convs = {k: [m for m in c if isinstance(m, torch.nn.Conv2d)] for k, c in contexts.items()}
        return {k: (c[0].in_channels, *(m.out_channels for m in c)) for k, c in convs.items()}

    assert widths(older_contexts(192, [16, 16, 32, 64, 192])) == PAPER_CONTEXTS
    assert widths(GainedPaperElic(8, 24, LAMBDAS).y.channel_context)["y4"] == (8, 16, 24, 32)


def training_state(model):
    """What CompressAI's training script saves beside the weights."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min")
    scheduler.step(torch.tensor(0.3))
    return {"optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict()}


def checkpoint(model):
    """A state dict as torch.save would hold it, under the names of a model trained on several GPUs."""
    return OrderedDict((f"module.{k}", v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("row", ["hyperprior-published", "elic-published"])
def test_published_weights_load_at_full_size(row, tmp_path):
    """State dicts with the published sizes' shapes, in files of torch.save, become a network; others are refused."""
    from compressai.models import ScaleHyperprior, sensetime
    from compressai.models.utils import conv, deconv

    from lamofc.convert import ConvertError
    from lamofc.errors import FetchError
    from lamofc.networks import published
    from lamofc.networks.coding import network as coding

    entry = yaml.safe_load((ROOT / "config/networks.yaml").read_text())[row]
    n, m = entry["n"], entry["m"]
    kind, last = (ScaleHyperprior, 6) if row.startswith("hyper") else (sensetime.Elic2022Official, 14)
    model = kind(n, m)
    model.g_a[0], model.g_s[last] = conv(1, n), deconv(n, 1)
    for group, widths in PAPER_CONTEXTS.items() if last == 14 else ():
        convs = [torch.nn.Conv2d(a, b, 5, padding=2) for a, b in pairwise(widths)]
        model.latent_codec.y.channel_context[group] = torch.nn.Sequential(
            convs[0], torch.nn.ReLU(), convs[1], torch.nn.ReLU(), convs[2]
        )
    weights = sum(p.numel() for p in model.parameters())
    assert weights == {6: 5_063_041, 14: 35_405_303}[last], "5.06 M and 35.4 M, as the paper counts them"
    model.update(force=True)  # checkpoints may hold tables of the entropy models beside the weights
    folder = tmp_path / "found" / "lambda0.01"
    folder.mkdir(parents=True)
    for other in ("0.02", "0.001"):
        beside = tmp_path / "found" / f"lambda{other}_lr0.01"  # a learning rate is no lambda
        beside.mkdir()
        (beside / "checkpoint.pth.tar").write_bytes(b"")
    saved = {"epoch": 9, "loss": torch.tensor(0.5), "state_dict": checkpoint(model)}
    saved |= training_state(model) if last == 6 else {}
    torch.save(saved, folder / "checkpoint.pth.tar")
    entry |= {"lambdas": [0.01], "published": {"package": "dt-ufc", "folder": "found"}}
    train(row, entry, [], tmp_path / "x.safetensors", tmp_path)  # as the rule does with the fetched package
    assert json.loads((tmp_path / "x.json").read_text())["settings"] == entry
    arrays = networks.read(tmp_path / "x.safetensors")
    loaded = coding(files.of_lambda(arrays, 0.01, row))
    assert loaded.channels == (n, m)
    x = np.random.default_rng(0).random((1, 64, 64), np.float32)
    assert loaded.decode(loaded.encode(x), 64, 64).shape == x.shape
    with pytest.raises(FetchError, match=r"one file with 0\.004 in its path is wanted"):
        published.file_of(row, 0.004, tmp_path / "found")
    with pytest.raises(ConvertError, match=r"checkpoint\.pth\.tar"):
        published.gather(row, entry | {"lambdas": [0.02]}, tmp_path / "found")
    state = {k.removeprefix("module."): v.numpy() for k, v in checkpoint(model).items()}
    state["g_a.0.weight"] = state["g_a.0.weight"][:, :, :3, :3]
    with pytest.raises(ConvertError, match=r"g_a\.0\.weight has \(\d+, 1, 3, 3\) where CompressAI's class has"):
        published.arrays_of(state, 0.01)


def test_start_keeps_what_a_plane_holds():
    from lamofc.networks.gained_elic import GainedElic

    torch.manual_seed(0)
    model = GainedElic(64, 256, [0.2]).eval()
    x = (0.5 + 0.1 * torch.randn(1, 1, 64, 64)).clamp(0, 1)
    with torch.no_grad():
        mse = float(((model(x, 0)["x_hat"] - x) ** 2).mean())
    step = (-10 * model.log_gain["y"].detach()[0, 0]).exp().item()
    assert 0.8 < mse / (step**2 / 12) < 1.3


@pytest.mark.parametrize("kind", ["tokens", "key", "conv", "pooled"])
def test_sizes_and_extremes(kind, network):
    specs = [feature_samples.spec(kind, "float16")]
    made = coder(specs, network, assign="nearest")
    lengths = (0, 1, 19) if specs[0].ragged_axis is not None else (0,)
    cases = [feature_samples.gaussian(specs, n, n) for n in lengths]
    cases += [{kind: a} for a in feature_samples.extremes(specs[0].resolve(13), "float16").values()]
    for sample in cases:
        sections = made.encode(sample)
        assert made.encode(sample) == sections
        decoded = made.decode(sections, {k: v.shape for k, v in sample.items()})
        features.check(decoded, specs, "decoded")
        assert decoded[kind].shape == sample[kind].shape


def test_decoding_elsewhere(tmp_path, network):
    """A fresh process with two threads decodes, and encodes to the same bytes; altered weights are refused."""
    specs = feature_samples.mixed(frozenset({"tokens", "key"}), layers=1)
    sample = feature_samples.gaussian(specs, 33, 8)
    entry = {"codec": "dtufc-elic", "parameters": {"lmbda": LAMBDAS[0], "assign": "floor", "packing": "paper"}}
    held = codecs.fit(entry, specs, [sample]) | network
    path = tmp_path / "x.lmfc"
    with BitstreamWriter(path, entry, specs, held, {}) as writer:
        writer.add(sample)
    np.savez(tmp_path / "x.npz", **held)
    (tmp_path / "jobs.json").write_text(json.dumps([[str(path), str(tmp_path / "x.npz")]]))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts"), "OMP_NUM_THREADS": "2"}
    worker = [sys.executable, str(ROOT / "tests/decode_elsewhere.py"), str(tmp_path / "jobs.json"), "--encode"]
    found = subprocess.run(worker, env=environment | {"MKL_NUM_THREADS": "2"}, check=True, capture_output=True)
    assert json.loads(found.stdout) == {"x.lmfc": hashlib.sha256(path.read_bytes()).hexdigest()}
    name = next(k for k in held if k.endswith("g_s.13.conv3.weight"))
    with pytest.raises(BitstreamError, match="decodes to other values"):
        list(BitstreamReader(path, held | {name: held[name] + np.float32(0.25)}))


def test_malformed_bytes(network):
    specs = [feature_samples.spec("tokens", "float32")]
    made = coder(specs, network)
    (data,) = made.encode(feature_samples.gaussian(specs, 21, 1))
    for bad in (b"", data[:3], data + b"\0"):
        with pytest.raises(BitstreamError, match="cannot be the rANS stream"):
            made.decode([bad], {"tokens": (21, 24)})
    rng = np.random.default_rng(0)
    for bad in [rng.bytes(len(data) // 4 * 4) for _ in range(4)] + [b"\xff" * len(data), bytes(len(data))]:
        try:
            features.check(made.decode([bad], {"tokens": (21, 24)}), specs, "forged")
        except BitstreamError:
            continue


def test_training_is_deterministic(tmp_path):
    """Two runs of the rule give the same file, also with two threads; it has every lambda, and codes."""
    specs = feature_samples.mixed(frozenset({"tokens", "pooled"}), layers=1)
    write_all(tmp_path / "a" / "calibration.zarr", specs,
              ((f"{i}", feature_samples.gaussian(specs, 30 + i, i)) for i in range(2)))  # fmt: skip
    row = yaml.safe_load((ROOT / "config/networks.yaml").read_text())["elic-small"]
    entry = row | {"n": 8, "m": 24, "lambdas": LAMBDAS, "crop": 64, "batch": 1, "steps": 4}
    threads, hashes = torch.get_num_threads(), []
    for run in range(2):
        torch.set_num_threads(1 + run)
        record = networks.train("t", entry, [tmp_path / "a/calibration.zarr"], tmp_path / f"{run}.safetensors")
        hashes.append(record["sha256"])
    torch.set_num_threads(threads)
    assert hashes[0] == hashes[1]
    arrays = {f"network/{k}": v for k, v in networks.read(tmp_path / "0.safetensors").items()}
    masked = next(v for k, v in arrays.items() if k.endswith("latent_codec.y4.context_prediction.weight"))
    assert not masked[:, :, ::2, ::2].any() and masked[:, :, 1, ::2].any()
    sample = feature_samples.gaussian(specs, 20, 1)
    for lmbda in LAMBDAS:
        made = coder(specs, arrays, lmbda)
        decoded = made.decode(made.encode(sample), {k: v.shape for k, v in sample.items()})
        features.check(decoded, specs, "decoded")


def test_rows_of_the_config():
    arms = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
    rows = yaml.safe_load((ROOT / "config/networks.yaml").read_text())
    jsonschema.validate(rows, yaml.safe_load((ROOT / "config/schemas/networks.schema.yaml").read_text()))
    for assign in ("nearest", "floor"):
        arm = arms[f"dtufc-elic-{assign}"]
        assert arm["tier"] == "full" and arm["parameters"] == {"assign": assign, "network": "elic-small"}
        knobs = [p["lmbda"] if isinstance(p, dict) else p for p in arm["ladder"]]
        assert set(knobs) <= set(rows["elic-small"]["lambdas"]) and knobs == sorted(knobs, reverse=True)
    assert Codec().network == "elic-small"
    shipped = networks.shipped("elic-small", rows["elic-small"], ROOT)
    record = json.loads(shipped.with_suffix(".json").read_text())
    assert record["sha256"] == rows["elic-small"]["sha256"]
    assert record["settings"] == {k: v for k, v in rows["elic-small"].items() if k != "sha256"}
