"""Feed mutated bitstreams to the decoder of every codec.

    python tests/fuzz/fuzz_bitstreams.py --codec all --files 100000

Each file must be refused with a LamofcError or decode to what the untouched file decodes to. Anything else is a
finding: another exception, a crash or a hang of the process, memory beyond the limit, other values without a word.
Case numbers are seeds: --codec NAME --first N --files 1 --keep FOLDER writes the file of one finding.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests")]

import feature_samples  # noqa: E402
import mutations  # noqa: E402

from lamofc import codecs  # noqa: E402
from lamofc.bitstream import BitstreamReader, BitstreamWriter  # noqa: E402
from lamofc.dtypes import to_bits  # noqa: E402
from lamofc.errors import LamofcError  # noqa: E402
from lamofc.interfaces import KINDS  # noqa: E402

MAX_ELEMENTS = 1 << 19
MEMORY = 1 << 30  # bytes beyond what the process holds once its codec is loaded
SECONDS = 20.0  # per file
_MEMORY_FOLDER = Path("/dev/shm")


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; prints a line per codec and returns 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", default="all", help="rows of config/codecs.yaml, joined by commas, or all")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for files that found something")
    parser.add_argument("--config", type=Path, default=ROOT / "config/codecs.yaml")
    options = parser.parse_args(arguments)
    arms = yaml.safe_load(options.config.read_text())
    arms = {name: arm for name, arm in arms.items() if "transfer" not in arm}  # the same bytes as another row
    wanted = list(arms) if options.codec == "all" else options.codec.split(",")
    print("codec\tfiles\trefused\tequal\tfindings\tfiles/s\tslowest s", flush=True)
    found = [_campaign(name, arms[name], options) for name in wanted]
    return int(any(found))


def _campaign(name: str, arm: dict, options: argparse.Namespace) -> int:
    """Run one codec's cases in child processes; a child that dies or stalls is a finding and is replaced."""
    counts: collections.Counter = collections.Counter()
    next_case, last, start = options.first, options.first + options.files, time.perf_counter()
    slowest = 0.0
    while next_case < last:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        arguments = (theirs, arm, next_case, last, options.keep and options.keep / name)
        child = multiprocessing.get_context("spawn").Process(target=_child, args=arguments)
        child.start()
        theirs.close()
        try:
            while True:
                if not ours.poll(SECONDS + (60 if next_case == options.first else SECONDS)):
                    child.kill()
                    raise TimeoutError("hang")
                case, outcome, seconds, detail = ours.recv()
                next_case, slowest = case + 1, max(slowest, seconds)
                counts[outcome] += 1
                if outcome not in ("refused", "equal"):
                    print(f"# {name} case {case}: {outcome}\n{detail}", flush=True)
                if next_case >= last:
                    break
        except (EOFError, TimeoutError) as error:
            child.join(SECONDS)
            outcome = "hang" if isinstance(error, TimeoutError) else f"crash, exit code {child.exitcode}"
            counts[outcome] += 1
            print(f"# {name} case {next_case}: {outcome}", flush=True)
            next_case += 1
        child.join(SECONDS)
    findings = sum(n for what, n in counts.items() if what not in ("refused", "equal"))
    rate = options.files / (time.perf_counter() - start)
    print(
        f"{name}\t{options.files}\t{counts['refused']}\t{counts['equal']}\t{findings}\t{rate:.0f}\t{slowest:.2f}",
        flush=True,
    )
    return findings


def _child(pipe: multiprocessing.connection.Connection, arm: dict, first: int, last: int, keep: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None) as folder:
        path = Path(folder) / "a.lmfc"
        assets, files = corpus(arm, path)
        expected = collections.defaultdict(set)
        for data in files:
            path.write_bytes(data)
            reader = BitstreamReader(path, assets)
            expected[json.dumps(reader.header)].add(_fingerprint(reader.decode(0)))
        _limit_memory()
        codecs.coder = _remembering(codecs.coder)
        for case in range(first, last):
            data = mutations.mutate(np.random.default_rng(case), files)
            path.write_bytes(data)
            start = time.perf_counter()
            outcome, detail = attempt(path, assets, expected)
            seconds = time.perf_counter() - start
            if seconds > SECONDS:
                outcome = "slow"
            if keep and outcome not in ("refused", "equal"):
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{case}.lmfc").write_bytes(data)
            pipe.send((case, outcome, seconds, detail))


def attempt(path: Path, assets: dict, expected: dict[str, set]) -> tuple[str, str]:
    """What the decoder makes of one file. Under a forged header any values are right."""
    try:
        reader = BitstreamReader(path, assets, max_elements=MAX_ELEMENTS)
        decoded = [_fingerprint(reader.decode(i)) for i in range(len(reader))]
    except LamofcError as error:
        memory = isinstance(error.__cause__, MemoryError)
        return ("memory", str(error)) if memory else ("refused", "")
    except MemoryError:
        return "memory", traceback.format_exc()
    except BaseException:
        return "exception", traceback.format_exc()
    known = expected.get(json.dumps(reader.header))
    return ("equal", "") if known is None or set(decoded) <= known else ("silently wrong", repr(decoded)[:500])


def corpus(arm: dict, path: Path) -> tuple[dict, list[bytes]]:
    """Assets of a row and small valid files: first, middle and last point, one sample of every kind."""
    own = codecs.load(arm["codec"]).kinds
    specs = feature_samples.mixed(own | frozenset(KINDS) if "fallback" in arm else own)
    ladder, files = arm["ladder"], []
    samples = [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7)]
    assets = codecs.fit(codecs.at_point(arm, ladder[0]), specs, samples) if codecs.needs_fit(arm) else {}
    assets |= feature_samples.network_arrays(arm, ROOT)
    for point in {json.dumps(p): p for p in (ladder[0], ladder[len(ladder) // 2], ladder[-1])}.values():
        for length in (9, 1):
            with BitstreamWriter(path, codecs.at_point(arm, point), specs, assets, {}) as writer:
                writer.add(feature_samples.gaussian(specs, length, length))
            files.append(path.read_bytes())
    return assets, files


def _fingerprint(sample: dict) -> str:
    return json.dumps({k: [v.dtype.name, v.shape, hash(to_bits(v).tobytes())] for k, v in sorted(sample.items())})


def _remembering(make: object) -> object:
    """Coders of equal headers are built once: forged packets then cost their decoding alone."""

    @functools.lru_cache(maxsize=32)
    def cached(entry: str, specs: tuple, assets: int) -> object:
        return make(json.loads(entry), list(specs), held[assets])

    held: dict[int, dict] = {}

    def coder(entry: dict, specs: list, assets: dict) -> object:
        held[id(assets)] = assets
        return cached(json.dumps(entry), tuple(specs), id(assets))

    return coder


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
