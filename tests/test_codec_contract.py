"""What every row of config/codecs.yaml promises, over all tensor kinds its codec declares."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import feature_samples
import numpy as np
import pytest
import yaml

from lamofc import codecs, features
from lamofc.bitstream import BitstreamWriter
from lamofc.dtypes import to_bits, to_float32
from lamofc.errors import FeatureError
from lamofc.interfaces import KINDS, NATIVE_DTYPES

ROOT = Path(__file__).parents[1]
ARMS = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
ARMS = {name: arm for name, arm in ARMS.items() if "transfer" not in arm}  # the same codec with other assets
WORKER = Path(__file__).parent / "decode_elsewhere.py"


def learned(arm):
    """Whether a row runs a network: such rows are slow and take a reduced set here."""
    return bool(feature_samples.network_of(ARMS[arm]))


def kinds(arm):
    return sorted(codecs.load(ARMS[arm]["codec"]).kinds)


ARMS = {name: arm for name, arm in ARMS.items() if not codecs.missing(arm)}  # tests/test_vvc.py says what is skipped
NUMERIC = [arm for arm in ARMS if not learned(arm)]
LEARNED = [arm for arm in ARMS if learned(arm)]
PAIRS = [(arm, kind) for arm in NUMERIC for kind in kinds(arm)]


@functools.cache
def _fitted(arm, specs_json):
    specs = [feature_samples.from_json(s) for s in json.loads(specs_json)]
    samples = [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7, 64)]
    return codecs.fit(codecs.at_point(ARMS[arm], ARMS[arm]["ladder"][0]), specs, samples)


def assets(arm, specs):
    fitted = {}
    if codecs.needs_fit(ARMS[arm]):
        fitted = _fitted(arm, json.dumps([feature_samples.to_json(s) for s in specs]))
    return fitted | _network(arm)


@functools.cache
def _network(arm):
    return feature_samples.network_arrays(ARMS[arm], ROOT)


def coders(arm, specs, points=(0, -1)):
    """Coders of some points of the ladder."""
    ladder = ARMS[arm]["ladder"]
    chosen = sorted({i % len(ladder) for i in points})
    held = assets(arm, specs)
    return [codecs.coder(codecs.at_point(ARMS[arm], ladder[i]), specs, held) for i in chosen]


def whole(arm):
    """Specs of a stream as this row may meet it: its kinds, and all others if it has a fallback."""
    own = frozenset(kinds(arm))
    return feature_samples.mixed(own | frozenset(KINDS) if "fallback" in ARMS[arm] else own)


def few(arm):
    """A stream for a network: three tensors of three dtypes."""
    return feature_samples.mixed(frozenset(kinds(arm)[:4]) & {"key", "latent", "embedding", "tokens", "conv"}, layers=1)


def check(coder, sample, specs, lossless):
    """Encode and decode twice; the sections."""
    whole, before = sample, {k: to_bits(v).tobytes() for k, v in sample.items()}
    sample = codecs.kept(coder, sample)
    features.check(sample, specs, "kept")
    shapes = {s.name: sample[s.name].shape for s in specs}
    sections = coder.encode(sample)
    assert [type(s) for s in sections] == [bytes] * len(coder.sections)
    assert coder.encode(sample) == sections, "two runs give two bitstreams"
    decoded = coder.decode(sections, shapes)
    assert {k: to_bits(v).tobytes() for k, v in whole.items()} == before, "encoding changed its input"
    features.check(decoded, specs, "decoded")
    again = coder.decode(sections, shapes)
    for s in specs:
        assert np.array_equal(to_bits(again[s.name]), to_bits(decoded[s.name])), "two runs decode differently"
        assert not lossless or np.array_equal(to_bits(sample[s.name]), to_bits(decoded[s.name]))
        assert decoded[s.name].flags.writeable and decoded[s.name].flags.c_contiguous
    return sections, decoded


def relative_error(a, b):
    a, b = to_float32(a).astype(np.float64), to_float32(b).astype(np.float64)
    return float(((a - b) ** 2).sum() / max((a**2).sum(), 1e-300))


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize(("arm", "kind"), PAIRS)
def test_sizes_and_extremes(arm, kind, dtype):
    specs = [feature_samples.spec(kind, dtype)]
    lossless = codecs.load(ARMS[arm]["codec"]).lossless
    ragged = specs[0].ragged_axis is not None
    for i, coder in enumerate(coders(arm, specs)):
        for length in (0, 1, 2, 37) if ragged else (0,):
            sample = feature_samples.gaussian(specs, length, length)
            _, decoded = check(coder, sample, specs, lossless)
            if i == 0 and length == 37:
                assert relative_error(sample[kind], decoded[kind]) < 0.05, "the first point is not transparent"
        for array in feature_samples.extremes(specs[0].resolve(13), dtype).values():
            check(coder, {kind: array}, specs, lossless)


@pytest.mark.parametrize(("arm", "kind"), PAIRS)
def test_extreme_aspects(arm, kind):
    for k, (shape, length) in enumerate(feature_samples.ASPECTS[kind]):
        specs = [feature_samples.spec(kind, NATIVE_DTYPES[k % 3], shape)]
        for coder in coders(arm, specs):
            check(coder, feature_samples.gaussian(specs, length, 1), specs, codecs.load(ARMS[arm]["codec"]).lossless)


@pytest.mark.parametrize(("arm", "kind"), PAIRS)
def test_constants_and_outliers_stay_in_place(arm, kind):
    """At its finest point a codec keeps a constant, zeros, and an outlier of 1e4 sigma, within calibrated noise."""
    specs = [feature_samples.spec(kind, "float32")]
    cases = feature_samples.extremes(specs[0].resolve(13), "float32")
    (coder,) = coders(arm, specs, points=(0,))
    usual = float(np.std(feature_samples.gaussian(specs, 64, 164)[kind])) if assets(arm, specs) else 1e-2
    for name in ("zero", "constant", "outlier"):
        _, decoded = check(coder, {kind: cases[name]}, specs, False)
        error = np.abs(to_float32(decoded[kind]) - cases[name])
        assert error.max() <= 0.25 * max(np.abs(cases[name]).max(), usual), f"{name}: off by {error.max()}"


@pytest.mark.parametrize("kind", ["tokens", "key"])
@pytest.mark.parametrize("arm", ["uq-ec", "uq-ec-stream", "kvtc", "pca", "svd", "dct", "cachegen", "cachegen-stream"])
def test_tensors_coded_together_have_the_bytes_of_each_alone(arm, kind):
    """Tensors of one shape share numpy's calls, and nothing else: not even where one of them breaks naive codecs."""
    if kind not in kinds(arm):
        return
    cases = feature_samples.extremes(feature_samples.spec(kind, "float32").resolve(13), "float32")
    specs = [feature_samples.spec(kind, "float32", name=f"t{i}") for i in range(len(cases) + 3)]
    sample = feature_samples.gaussian(specs, 13, 3) | dict(zip([s.name for s in specs], cases.values()))  # noqa: B905
    for coder in coders(arm, specs, points=(0, 2, -1)):
        alone = [coder.encode_tensor(sample[s.name], s) for s in specs]
        flat = [data for own in alone for data in (own if isinstance(own, tuple) else (own,))]
        assert coder.encode(sample) == flat


@pytest.mark.parametrize("arm", NUMERIC)
def test_empty_and_mixed_samples(arm):
    specs = whole(arm)
    for coder in coders(arm, specs):
        for length in (0, 1, 29):
            check(coder, feature_samples.gaussian(specs, length, 9), specs, False)


@pytest.mark.parametrize("arm", ARMS)
def test_values_that_are_not_finite_are_refused(arm, tmp_path):
    specs = few(arm) if learned(arm) else whole(arm)
    entry = codecs.at_point(ARMS[arm], ARMS[arm]["ladder"][0])
    for value in (np.nan, np.inf, -np.inf):
        sample = feature_samples.gaussian(specs, 5, 0)
        sample[specs[0].name].ravel()[3] = value
        with (
            pytest.raises(FeatureError, match=rf"one, tensor {specs[0].name}: 1 of \d+ values are NaN or infinite"),
            BitstreamWriter(tmp_path / "a.lmfc", entry, specs, assets(arm, specs), {}) as writer,
        ):
            writer.add(sample, "one")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arm", NUMERIC)
def test_rate_falls_along_the_ladder(arm):
    specs = whole(arm)
    sample = feature_samples.gaussian(specs, 160, 4)
    count = len(ARMS[arm]["ladder"])
    sizes = [sum(map(len, c.encode(codecs.kept(c, sample)))) for c in coders(arm, specs, points=range(count))]
    slack = 1.01, 8
    assert all(b <= a * slack[0] + slack[1] for a, b in itertools.pairwise(sizes)), sizes
    assert count == 1 or sizes[-1] < sizes[0], sizes


FLAT = {"ssm": (2048, 16), "conv": (8192, 4), "pooled": (768,)}
FRAMING = {
    "sz3": 400,
    "bitround": 100,
    "pcodec": 100,
    "hevc": 130,
    "vvc": 200,
    "jpegxl": 150,
    "jpeg2k": 180,
}  # bytes that the libraries' own streams begin with
# bits per value that narrow tensors may cost more: a step in typical RMS is smaller where vectors have four values,
# SZ3 predicts across columns, pictures are cut otherwise, vector codecs leave states to a fallback of another step
WIDTHS = {"kvtc": 0.2, "svd": 0.2, "tailor": 0.2, "sz3": 0.3}
WIDTHS |= dict.fromkeys(("hevc", "vvc", "av1", "jpegxl", "jpeg2k", "opq", "orfc", "fcvq"), 0.5)


@pytest.mark.parametrize("arm", NUMERIC)
def test_narrow_tensors_cost_what_their_values_cost(arm):
    """Equal values cost a state of 4 columns, or a vector, hardly more bits than tokens: nothing is padded."""
    bits = {}
    for kind, shape in {"tokens": (128, 256), **FLAT}.items():
        specs = [feature_samples.spec(kind, "float32", shape)]
        noise = [np.random.default_rng(k).standard_normal(shape).astype(np.float32) for k in range(7)]
        entry = codecs.at_point(ARMS[arm], ARMS[arm]["ladder"][len(ARMS[arm]["ladder"]) // 2])
        held = codecs.fit(entry, specs, [{kind: x} for x in noise[1:]]) if codecs.needs_fit(entry) else {}
        bits[kind] = 8 * sum(map(len, codecs.coder(entry, specs, held).encode({kind: noise[0]}))) / noise[0].size
    framing = 8 * FRAMING.get(ARMS[arm]["codec"], 48) / FLAT["pooled"][0]
    slack = WIDTHS.get(ARMS[arm]["codec"], 0.03)
    assert max(bits["ssm"], bits["conv"]) <= bits["tokens"] + slack, bits
    assert bits["pooled"] <= bits["tokens"] + framing + 0.3, bits


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Bitstreams of every numeric row: a file of jobs for other processes, and what they must find."""
    folder = tmp_path_factory.mktemp("written")
    jobs, wanted = [], {}
    for arm in NUMERIC:
        specs, held, ladder = whole(arm), assets(arm, whole(arm)), ARMS[arm]["ladder"]
        np.savez(folder / f"{arm}.npz", **held)
        for i in sorted({0, len(ladder) // 2}):
            path = folder / f"{arm}.{i}.lmfc"
            with BitstreamWriter(path, codecs.at_point(ARMS[arm], ladder[i]), specs, held, {}) as writer:
                writer.add(feature_samples.gaussian(specs, 33, 8))
            jobs.append([str(path), str(folder / f"{arm}.npz")])
            wanted[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "jobs.json").write_text(json.dumps(jobs))
    return folder / "jobs.json", wanted


def elsewhere(jobs, *arguments, **environment):
    """What a fresh process makes of the jobs."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts"), "PYTHONHASHSEED": "77"} | environment
    command = [sys.executable, str(WORKER), str(jobs), *arguments]
    return json.loads(subprocess.run(command, env=variables, check=True, capture_output=True).stdout)


def test_another_process_with_two_threads_writes_the_same_bytes(written):
    """It also decodes them first, and the checksum of the reconstruction is verified there."""
    jobs, wanted = written
    threads = {f"{library}_NUM_THREADS": "2" for library in ("OMP", "OPENBLAS", "MKL")}
    assert elsewhere(jobs, "--encode", **threads) == wanted


def test_an_older_processor_decodes_the_same_values(written):
    """Other kernels of BLAS and numpy round differently: no codec may let that show."""
    jobs, wanted = written
    features = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3 F16C AVX"
    found = elsewhere(jobs, OPENBLAS_CORETYPE="Nehalem", NPY_DISABLE_CPU_FEATURES=features)
    assert {name: result for name, result in found.items() if result != "decoded"} == {}
    assert found.keys() == wanted.keys()


@pytest.mark.parametrize("arm", NUMERIC)
def test_threads_share_a_coder(arm):
    specs = whole(arm)
    (coder,) = coders(arm, specs, points=(0,))
    samples = [feature_samples.gaussian(specs, n, n) for n in (21, 34, 5, 13)]
    alone = [coder.encode(s) for s in samples]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(coder.encode, samples)) == alone


@pytest.mark.parametrize("arm", LEARNED)
def test_learned_rows(arm):
    """The reduced set: sizes, extremes of one tensor, rate at both ends of the ladder."""
    specs, sizes = few(arm), []
    for coder in coders(arm, specs):
        for length in (0, 1, 13):
            sections, _ = check(coder, feature_samples.gaussian(specs, length, 9), specs, False)
        sizes.append(sum(map(len, sections)))
    assert sizes[-1] < sizes[0]
    one = [feature_samples.spec(kinds(arm)[-1], "float16")]
    (coder,) = coders(arm, one, points=(0,))
    for array in feature_samples.extremes(one[0].resolve(13), "float16").values():
        check(coder, {one[0].name: array}, one, False)
