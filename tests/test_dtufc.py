"""The DT-UFC hyperprior: published arithmetic, network against CompressAI's, streams, training rule."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import feature_samples
import jsonschema
import numpy as np
import pytest
import yaml

from lamofc import codecs, features, networks
from lamofc.bitstream import BitstreamWriter
from lamofc.codecs.dtufc_hyperprior import Codec
from lamofc.dtypes import from_float32, to_bits, to_float32
from lamofc.errors import BitstreamError, ConfigError, FetchError
from lamofc.interfaces import KINDS, TensorSpec
from lamofc.networks import rans
from lamofc.store import write_all
from lamofc.transforms import kmeans_table

ROOT = Path(__file__).parents[1]
NAME = "hyperprior-small"
ROW = yaml.safe_load((ROOT / "config/networks.yaml").read_text())[NAME]
ARMS = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
LAMBDAS = sorted(ROW["lambdas"], reverse=True)


@pytest.fixture(scope="module")
def network():
    return {f"network/{k}": v for k, v in networks.read(networks.shipped(NAME, ROW, ROOT)).items()}


@pytest.fixture(scope="module")
def gained():
    """The trainable network, small, at two lambdas, with weights as a file keeps them."""
    import torch

    from lamofc.networks.gained import GainedHyperprior

    torch.manual_seed(0)
    model = GainedHyperprior(8, 24, [0.3, 0.01])
    for parameter in model.g_a.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    x = torch.rand(2, 1, 64, 128)
    model.start_from(x)
    for net in (model.g_a, model.g_s, model.h_a, model.h_s):
        net.half().float()
    return model.eval(), {f"network/{k}": v for k, v in model.export().items()}, x


def made(specs, network, lmbda=LAMBDAS[0], samples=None, **parameters):
    """A coder with tables fitted on samples of a few lengths."""
    entry = {"codec": "dtufc-hyperprior", "parameters": {"lmbda": lmbda, "network": NAME} | parameters}
    samples = samples or [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7)]
    return codecs.coder(entry, specs, codecs.fit(entry, specs, samples) | network)


def shapes_of(sample):
    return {k: v.shape for k, v in sample.items()}


def relative_error(a, b):
    a, b = to_float32(a).astype(np.float64), to_float32(b).astype(np.float64)
    return float(((a - b) ** 2).sum() / max((a**2).sum(), 1e-300))


class _Untouched:
    """A network that keeps planes as they are."""

    def encode(self, planes):
        self.planes = planes
        return [p.tobytes() for p in planes]

    def decode(self, payloads, height, width):
        return np.stack([np.frombuffer(p, np.float32).reshape(height, width) for p in payloads])


def test_published_arithmetic_by_hand(network):
    """floor + paper: index of the centroid below, over 256, zeros up to 64 x 64, and the centroid back."""
    spec = TensorSpec("x", "tokens", "float32", (None, 3))
    table = np.sort(np.concatenate([[-4.0, -1.0, 0.0, 1.0, 3.0], np.arange(251) + 10.0])).astype(np.float32)
    codec = Codec(lmbda=LAMBDAS[0], assign="floor", packing="paper")
    coder = codec.coder([spec], {"table/x": table} | network)
    coder._network = _Untouched()
    x = np.array([[-9.0, -4.0, -1.1], [-1.0, 0.9, 2.9]], np.float32)
    decoded = coder.decode(coder.encode({"x": x}), {"x": (2, 3)})["x"]
    plane = coder._network.planes
    assert plane.shape == (1, 64, 64) and plane.dtype == np.float32
    assert (plane[0, :2, :3] * 256).tolist() == [[0, 0, 0], [1, 2, 3]]
    assert not plane[0, 2:].any() and not plane[0, :, 3:].any()
    assert decoded.tolist() == [[-4, -4, -4], [-1, 0, 1]]


def test_paper_size_has_the_published_number_of_parameters():
    from lamofc.networks.gained import GainedHyperprior

    model = GainedHyperprior(128, 192, [0.01])
    count = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("log_gain"))
    assert round(count / 1e6, 2) == 5.06


def test_network_is_compressais(gained):
    """Same reconstructions as the trainable network, which runs CompressAI's layers; bytes near its likelihoods."""
    import torch

    from lamofc.networks import files, scale_hyperprior

    model, arrays, x = gained
    for k, lmbda in enumerate(model.lambdas):
        found = model(x, k)
        mine = scale_hyperprior.ScaleHyperprior(
            files.of_lambda({n.removeprefix("network/"): a for n, a in arrays.items()}, lmbda, "tiny")
        )
        payloads = mine.encode(x[:, 0].numpy())
        planes = mine.decode(payloads, 64, 128)
        wanted = found["x_hat"][:, 0].detach().clamp(0, 1).numpy()
        assert np.quantile(np.abs(planes - wanted), 0.99) < 1e-4
        bits = sum(-torch.log2(found[c].detach()).sum().item() for c in "yz")
        assert 0.97 * bits < 8 * sum(map(len, payloads)) < 1.03 * bits + 2 * 64


def test_start_keeps_what_a_plane_holds():
    """A network of enough channels begins as an orthonormal transform: distortion is that of rounding alone."""
    import torch

    from lamofc.networks.gained import GainedHyperprior

    torch.manual_seed(0)
    model = GainedHyperprior(64, 256, [0.2]).eval()
    x = (0.5 + 0.1 * torch.randn(1, 1, 64, 64)).clamp(0, 1)
    with torch.no_grad():
        mse = float(((model(x, 0)["x_hat"] - x) ** 2).mean())
    step = (-10 * model.log_gain["y"].detach()[0, 0]).exp().item()
    assert 0.8 < mse / (step**2 / 12) < 1.3


@pytest.mark.parametrize("packing", ["tight", "paper"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_sizes_and_extremes(kind, packing, gained):
    """Finite, natural shape and dtype, the same twice, for every size and for arrays that break naive codecs."""
    for dtype in ("float32", "bfloat16"):
        specs = [feature_samples.spec(kind, dtype)]
        coder = made(specs, gained[1], 0.3, packing=packing)
        lengths = (0, 1, 2, 37) if specs[0].ragged_axis is not None else (0,)
        cases = [feature_samples.gaussian(specs, n, n) for n in lengths]
        cases += [{kind: a} for a in feature_samples.extremes(specs[0].resolve(13), dtype).values()]
        for sample in cases:
            sections = coder.encode(sample)
            decoded = coder.decode(sections, shapes_of(sample))
            features.check(decoded, specs, "decoded")
            assert decoded[kind].shape == sample[kind].shape and decoded[kind].flags.writeable
            assert coder.encode(sample) == sections
            assert np.array_equal(to_bits(coder.decode(sections, shapes_of(sample))[kind]), to_bits(decoded[kind]))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_extreme_aspects(kind, gained):
    for shape, length in feature_samples.ASPECTS[kind]:
        specs = [feature_samples.spec(kind, "float16", shape)]
        sample = feature_samples.gaussian(specs, length, 1)
        coder = made(specs, gained[1], 0.3, [sample])
        features.check(coder.decode(coder.encode(sample), shapes_of(sample)), specs, "decoded")


def test_rate_falls_and_error_grows_along_the_ladder(network):
    specs = feature_samples.mixed(frozenset({"tokens", "key", "value"}))
    sample = feature_samples.gaussian(specs, 200, 4)
    count, sizes, errors = features.elements(sample), [], []
    for lmbda in LAMBDAS:
        coder = made(specs, network, lmbda, [sample])
        sections = coder.encode(sample)
        decoded = coder.decode(sections, shapes_of(sample))
        sizes.append(8 * sum(map(len, sections)) / count)
        errors.append(np.mean([relative_error(sample[s.name], decoded[s.name]) for s in specs]))
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)
    assert 4 < sizes[0] < 9 and errors[0] < 0.01, (sizes, errors)
    assert sizes[-1] < 1.5 and errors[-1] > 0.2, (sizes, errors)


def test_rows_of_the_config(network):
    """Both arms go from the first lambda of the network that ships to its last, and differ in their assignment."""
    rows = {arm: ARMS[arm] for arm in ("dtufc-hyperprior-nearest", "dtufc-hyperprior-floor")}
    for arm, row in rows.items():
        first, *rest = row["ladder"]
        assert first == {"lmbda": LAMBDAS[0], "correct": True} and rest[-1] == LAMBDAS[-1]
        assert rest == [x for x in LAMBDAS if x in rest]
        assert row["parameters"]["network"] == NAME
        assert arm.endswith(row["parameters"]["assign"])
    schema = yaml.safe_load((ROOT / "config/schemas/networks.schema.yaml").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "config/networks.yaml").read_text()), schema)
    assert {k.split("/")[1] for k in network} - {"shared"} == {f"{x:g}" for x in LAMBDAS}
    assert networks.shipped(NAME, ROW, ROOT).stat().st_size < 1 << 22


@pytest.mark.parametrize("assign", ["nearest", "floor"])
def test_corrected_indices_are_those_of_the_table(assign, network):
    """With `correct` only the table's error is left, at any lambda."""
    specs = feature_samples.mixed(frozenset({"tokens", "key", "pooled"}), layers=1)
    sample = feature_samples.gaussian(specs, 33, 8)
    parameters = {"assign": assign, "network": NAME, "correct": True}
    held = codecs.fit({"codec": "dtufc-hyperprior", "parameters": parameters}, specs, [sample]) | network
    for lmbda in (LAMBDAS[0], LAMBDAS[-1]):
        entry = {"codec": "dtufc-hyperprior", "parameters": {**parameters, "lmbda": lmbda}}
        coder = codecs.coder(entry, specs, held)
        decoded = coder.decode(coder.encode(sample), {s.name: sample[s.name].shape for s in specs})
        for s in specs:
            table = held[f"table/{s.name}"]
            indices = kmeans_table.assign(to_float32(sample[s.name]), table, assign)
            wanted = from_float32(kmeans_table.points(table, assign, "centroid")[indices], s.dtype)
            assert np.array_equal(to_float32(decoded[s.name]), to_float32(wanted))


def test_decoding_elsewhere(tmp_path, network):
    """A fresh process with two threads decodes and encodes to the same bytes as this one does."""
    specs = feature_samples.mixed(frozenset({"tokens", "key", "value", "pooled"}))
    sample = feature_samples.gaussian(specs, 33, 8)
    jobs, wanted = [], {}
    for assign, packing in (("nearest", "tight"), ("floor", "paper")):
        parameters = {"lmbda": LAMBDAS[1], "assign": assign, "packing": packing, "network": NAME}
        entry = {"codec": "dtufc-hyperprior", "parameters": parameters}
        held = codecs.fit(entry, specs, [sample]) | network
        path = tmp_path / f"{assign}.lmfc"
        with BitstreamWriter(path, entry, specs, held, {}) as writer:
            writer.add(sample)
        np.savez(tmp_path / f"{assign}.npz", **held)
        wanted[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        jobs.append([str(path), str(tmp_path / f"{assign}.npz")])
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts"), "OMP_NUM_THREADS": "2"}
    worker = [sys.executable, str(ROOT / "tests/decode_elsewhere.py"), str(tmp_path / "jobs.json"), "--encode"]
    found = subprocess.run(worker, env=environment | {"MKL_NUM_THREADS": "2"}, check=True, capture_output=True)
    assert json.loads(found.stdout) == wanted


def test_threads_of_the_caller_are_restored(network):
    import torch

    specs = [feature_samples.spec("tokens", "float32")]
    sample, before = feature_samples.gaussian(specs, 9, 1), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        made(specs, network).encode(sample)
        assert torch.get_num_threads() == 2 and not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)


def test_malformed_bytes(gained):
    """Impossible lengths and symbols are refused; other damage decodes to finite values and ends."""
    specs = [feature_samples.spec("tokens", "float32")]
    coder = made(specs, gained[1], 0.3)
    sample = feature_samples.gaussian(specs, 21, 1)
    (data,) = coder.encode(sample)
    for bad in (b"", data[:3], data + b"\0", data + bytes(1 << 16)):
        with pytest.raises(BitstreamError, match="cannot be the rANS stream"):
            coder.decode([bad], {"tokens": (21, 24)})
    with pytest.raises(BitstreamError, match="empty tensors"):
        coder.decode([data], {"tokens": (0, 24)})
    rng = np.random.default_rng(0)
    forged = [rng.bytes(len(data) // 4 * 4) for _ in range(20)] + [b"\xff" * len(data), bytes(len(data)), data[:8]]
    for bad in forged:
        with contextlib.suppress(BitstreamError):
            features.check(coder.decode([bad], {"tokens": (21, 24)}), specs, "forged")


def test_rans_escapes_and_parts():
    """Two parts in one stream, symbols far outside the tables, and clipping at the largest magnitude."""
    tables = rans.Tables(np.array([1 << 15, (1 << 15) - 1, 1] * 2, np.uint16), np.array([3, 3]), np.array([-1, 4]))
    first, second = np.array([[-1, 0, 700], [-32768, 40000, 0]]), np.array([4, 5, -9])
    indexes = np.array([[0, 0, 0], [1, 1, 1]])
    data = rans.encode([(first, indexes, tables), (second, np.array([1, 0, 1]), tables)])
    decoder = rans.Decoder(data, 9)
    assert decoder.take(indexes, tables).tolist() == [[-1, 0, 700], [-32768, 32768, 0]]
    assert decoder.take(np.array([1, 0, 1]), tables).tolist() == second.tolist()


def test_errors_name_the_fix(network, tmp_path):
    specs = [feature_samples.spec("tokens", "float32")]
    tables = {"table/tokens": np.arange(256, dtype=np.float32)}
    with pytest.raises(ConfigError, match=r"no lambda 0\.123: it has"):
        Codec(lmbda=0.123).coder(specs, tables | network)
    with pytest.raises(ConfigError, match="no k-means table for tensor tokens"):
        Codec(lmbda=LAMBDAS[0]).coder(specs, network)
    for bad in ({"assign": "ceiling"}, {"recon": "mean"}, {"packing": "loose"}, {"lmbda": 0}, {"samples": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            codecs.build("dtufc-hyperprior", bad)
    with pytest.raises(FetchError, match=r"no .*absent.safetensors"):
        networks.shipped("absent", {"sha256": "0"}, tmp_path)
    with pytest.raises(FetchError, match=r"has sha256 .*, config/networks.yaml says 00"):
        networks.shipped(NAME, {"sha256": "00"}, ROOT)


def test_installing_copies_weights_and_record(tmp_path):
    networks.install(NAME, ROW, ROOT, tmp_path / "x.safetensors")
    assert hashlib.sha256((tmp_path / "x.safetensors").read_bytes()).hexdigest() == ROW["sha256"]
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["sha256"] == ROW["sha256"] and record["settings"]["seed"] == ROW["seed"] and record["curve"]
    assert record["settings"] == {k: v for k, v in ROW.items() if k != "sha256"}


@pytest.mark.parametrize("joint", [True, False])
def test_training_is_deterministic(tmp_path, joint):
    """Two runs of the rule give the same file; it falls in loss, has every lambda, and codes."""
    import torch

    specs = feature_samples.mixed(frozenset({"tokens", "key", "conv", "pooled"}))
    for name in "ab":
        samples = ((f"{i}", feature_samples.gaussian(specs, 30 + i, i + ord(name))) for i in range(3))
        write_all(tmp_path / name / "calibration.zarr", specs, samples)
    stores = [tmp_path / n / "calibration.zarr" for n in "ab"]
    entry = ROW | {"n": 8, "m": 24, "joint": joint, "lambdas": [0.1, 0.01], "crop": 64, "batch": 2, "steps": 25}
    lines, records = [], []
    threads = torch.get_num_threads()
    for run in range(2):
        torch.set_num_threads(1 + run)
        records.append(networks.train("tiny", entry, stores, tmp_path / f"{run}.safetensors", lines.append))
    torch.set_num_threads(threads)
    assert records[0]["sha256"] == records[1]["sha256"]
    assert len(lines) == 4 and "lambda 0.01" in lines[1]
    assert records[0]["stores"] == ["a/calibration.zarr", "b/calibration.zarr"]
    assert json.loads((tmp_path / "0.json").read_text())["curve"] == records[0]["curve"]
    arrays = {f"network/{k}": v for k, v in networks.read(tmp_path / "0.safetensors").items()}
    sample = feature_samples.gaussian(specs, 20, 1)
    for lmbda in entry["lambdas"]:
        coder = made(specs, arrays, lmbda)
        features.check(coder.decode(coder.encode(sample), shapes_of(sample)), specs, "decoded")
    with pytest.raises(ConfigError, match="no calibration stores"):
        networks.train("tiny", entry, [], tmp_path / "c.safetensors")
