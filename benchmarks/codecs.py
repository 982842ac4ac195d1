"""Speed and peak memory of every codec on feature stores: python benchmarks/codecs.py [STORE ...]

Prints MB/s of native input for encode and decode, entropy coding included, with one process and with two on packets of
their own; bits per feature point, what of them is loss against the ideal code length of the codec's own model (where it
has one), and relative squared error beside it; peak memory beyond samples and coder, decoders in processes of their own
apart; and the function that a profile of both directions shows on top. Rows whose network ships run it. The first
line says which commit, which machine, and how busy that was. Without arguments: stores under results/, else synthetic.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import json
import os
import pstats
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc import codecs, features  # noqa: E402
from lamofc.dtypes import to_float32  # noqa: E402
from lamofc.errors import ConfigError  # noqa: E402
from lamofc.interfaces import Coder, Sample, TensorSpec  # noqa: E402
from lamofc.networks import files as networks  # noqa: E402
from lamofc.store import FeatureReader  # noqa: E402

COLUMNS = ("features", "codec", "point", "bits/point", "loss %", "rel. MSE", "encode MB/s", "decode MB/s",
           "encode MB/s x2", "decode MB/s x2", "peak MB", "bottleneck")  # fmt: skip
MAX_CALIBRATION = 8.0  # MB of native features that codecs are fitted on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--codecs", help="rows of config/codecs.yaml, joined by commas; all if absent")
    parser.add_argument("--points", choices=["ends", "middle", "all"], default="middle")
    parser.add_argument("--seconds", type=float, default=0.5, help="least time for each measurement")
    parser.add_argument("--megabytes", type=float, default=8, help="of each store that are used, at least one sample")
    parser.add_argument("--tsv", type=Path, help="write the table here as well")
    options = parser.parse_args()
    arms = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
    wanted = options.codecs.split(",") if options.codecs else [n for n, a in arms.items() if "transfer" not in a]
    rows = []
    print(f"# {_conditions()}", flush=True)
    print(_line(COLUMNS), flush=True)
    for name, specs, samples, calibration in _sources(options.stores, options.megabytes):
        for arm in wanted:
            for row in _measure(arms[arm], specs, samples, calibration, options):
                rows.append((name, arm, *row))
                print(_line(rows[-1]), flush=True)
    if options.tsv:
        with open(options.tsv, "w", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *rows])


def _network(arm: dict) -> dict[str, np.ndarray]:
    """Arrays of the network that a row runs and that ships; none for rows without one."""
    field = getattr(codecs.load(arm["codec"]), "network_field", None)
    if not field:
        return {}
    name = getattr(codecs.build(arm["codec"], arm.get("parameters", {})), field)
    row = yaml.safe_load((ROOT / "config/networks.yaml").read_text())[name]
    if "sha256" not in row:
        raise ConfigError(f"network {name} does not ship")
    return {networks.PREFIX + k: v for k, v in networks.read(networks.shipped(name, row, ROOT)).items()}


def _conditions() -> str:
    """Commit, processor, cores, load."""
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return f"commit {git.stdout.strip() or 'unknown'}; {processor}, {os.cpu_count()} cores, load {load}"


def _sources(stores: Sequence[Path], megabytes: float) -> Iterator[tuple[str, Sequence[TensorSpec], list[Sample], Any]]:
    """(name, specs, samples, calibration samples) of each store."""
    stores = list(stores) or sorted(ROOT.glob("results/**/features/*/test.zarr"))
    for path in stores:
        reader = FeatureReader(path)
        calibration = path.parent / "calibration.zarr"
        held = FeatureReader(calibration) if calibration.is_dir() else reader
        yield path.parent.name, reader.specs, _some(reader, megabytes), _some(held, MAX_CALIBRATION)
    if not stores:
        rng = np.random.default_rng(0)
        specs = [TensorSpec("tokens", "tokens", "float32", (None, 384))]
        scale = np.exp(rng.standard_normal(384))
        samples = [{"tokens": (rng.standard_normal((257, 384)) * scale).astype(np.float32)} for _ in range(10)]
        yield "synthetic", specs, samples, samples


def _some(reader: FeatureReader, megabytes: float) -> list[Sample]:
    out, held = [], 0
    for sample in reader:
        out.append(sample)
        held += _bytes([sample])
        if held > megabytes * 1e6:
            break
    return out


def _measure(arm: dict, specs: Sequence[TensorSpec], samples: list[Sample], calibration: Any, options: Any) -> Iterator:
    ladder = arm["ladder"]
    chosen = {"ends": [0, -1], "middle": [len(ladder) // 2], "all": range(len(ladder))}[options.points]
    with threadpool_limits(1):
        try:
            if lacks := codecs.missing(arm):
                raise ConfigError(lacks)
            assets = codecs.fit(codecs.at_point(arm, ladder[0]), specs, calibration) if codecs.needs_fit(arm) else {}
            assets |= _network(arm)
            coders = [codecs.coder(codecs.at_point(arm, ladder[i]), specs, assets) for i in chosen]
        except ConfigError as error:
            print(f"# {arm['codec']}: {error}", flush=True)
            return
        for i, coder in zip(chosen, coders, strict=True):
            (one,) = _in_children(1, lambda coder=coder: _run(coder, samples, options.seconds, True))
            two = _in_children(2, lambda coder=coder: _run(coder, samples, options.seconds, False))
            both = [f"{sum(r[k] for r in two):.0f}" for k in ("encode", "decode")]
            yield (codecs.point_name(arm, ladder[i]), f"{one['bits']:.3f}", one["loss"], f"{one['error']:.2e}",
                   f"{one['encode']:.0f}", f"{one['decode']:.0f}", *both, f"{one['peak']:.1f}", one["top"])  # fmt: skip


def _run(coder: Coder, samples: list[Sample], seconds: float, full: bool) -> dict[str, Any]:
    """What one process measures; `full` adds rate, distortion, memory and profile."""
    encode = lambda sample: coder.encode(codecs.kept(coder, sample))  # noqa: E731
    shapes = [{k: v.shape for k, v in codecs.kept(coder, s).items()} for s in samples]
    coded = [encode(s) for s in samples]
    pairs = list(zip(coded, shapes, strict=True))
    out: dict[str, Any] = {}
    if full:
        start = _reset_peak()
        decoded = [coder.decode(encode(s), n) for s, n in zip(samples, shapes, strict=True)]
        out["peak"] = (_status("VmHWM") - start) / 1024
        out["bits"] = 8 * sum(len(b) for c in coded for b in c) / sum(map(features.elements, samples))
        out["loss"] = _loss(coder, samples, 8 * sum(len(b) for c in coded for b in c))
        out["error"] = _error(samples, decoded)
        out["top"] = _bottleneck(coder, samples, pairs)
    out["encode"] = _speed(encode, [(s,) for s in samples], _bytes(samples), seconds)
    out["decode"] = _speed(coder.decode, pairs, _bytes(samples), seconds)
    return out


def _speed(call: Callable, arguments: list[tuple], size: int, seconds: float) -> float:
    """MB/s, from each packet's best time over as many rounds as fill the time, at least two."""
    best = np.full(len(arguments), np.inf)
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 2 or time.perf_counter() < end:
        for i, one in enumerate(arguments):
            start = time.perf_counter()
            call(*one)
            best[i] = min(best[i], time.perf_counter() - start)
        rounds += 1
    return size / 1e6 / best.sum()


def _in_children(count: int, work: Callable[[], dict]) -> list[dict]:
    """Run `work` in forked processes at the same time; their results."""
    pipes = []
    for _ in range(count):
        source, sink = os.pipe()
        if os.fork() == 0:
            os.write(sink, json.dumps(work()).encode())
            os._exit(0)
        os.close(sink)
        pipes.append(source)
    texts = [b"".join(iter(lambda p=p: os.read(p, 1 << 16), b"")) for p in pipes]
    for pipe in pipes:
        os.close(pipe)
        os.wait()
    return [json.loads(t) for t in texts]


def _bottleneck(coder: Coder, samples: list[Sample], pairs: list[tuple]) -> str:
    """The function with most time of its own, and its share."""
    profile = cProfile.Profile()
    profile.enable()
    for sample, pair in zip(samples, pairs, strict=True):
        coder.encode(codecs.kept(coder, sample))
        coder.decode(*pair)
    profile.disable()
    stats = pstats.Stats(profile)
    (file, _, function), (_, _, own, _, _) = max(stats.stats.items(), key=lambda item: item[1][2])
    where = "" if file == "~" else f"{Path(file).stem}."
    if found := re.match(r"<method '(\w+)' of '([\w.]+)' objects>", function):  # of a class in C
        function = f"{found[2].removeprefix('builtins.')}.{found[1]}"
    name = function.removeprefix("<built-in method ").rstrip(">")
    return f"{where}{name} {100 * own / stats.total_tt:.0f} %"


def _loss(coder: Coder, samples: list[Sample], bits: int) -> str:
    """Bits beyond the ideal code length of the coder's own model, in per cent; a dash for codecs without one."""
    ideal = sum(map(coder.ideal_bits, samples)) if hasattr(coder, "ideal_bits") else 0.0
    return f"{100 * (bits / ideal - 1):+.2f}" if ideal else "-"


def _error(samples: list[Sample], decoded: list[Sample]) -> float:
    """Sum of squared errors over sum of squares, all tensors; NaN where tokens were evicted."""
    if any(a[k].shape != b[k].shape for a, b in zip(samples, decoded, strict=True) for k in a):
        return float("nan")
    wide = [
        (to_float32(a[k]).astype(np.float64), to_float32(b[k]))
        for a, b in zip(samples, decoded, strict=True)
        for k in a
    ]
    return float(sum(((x - y) ** 2).sum() for x, y in wide) / sum((x**2).sum() for x, _ in wide))


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(key: str) -> int:
    """kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _bytes(samples: list[Sample]) -> int:
    return sum(a.nbytes for s in samples for a in s.values())


def _line(cells: Sequence[Any]) -> str:
    widths = (36, 18, 9, 10, 6, 9, 11, 11, 14, 14, 7, 0)
    return "  ".join(
        str(c).ljust(w) if k < 3 else str(c).rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))
    )


if __name__ == "__main__":
    main()
