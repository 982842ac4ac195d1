"""Feed mutated bitstreams to the decoder of every codec.

    python tests/fuzz/fuzz_bitstreams.py --codec all --files 100000 --log build/fuzz

Each file must be refused with a LamofcError or decode to what the untouched file decodes to. Anything else is a
finding: another exception, a crash or a hang of the process, memory beyond the limit, tensors of another form, other
values without a word. A run that was ended goes on where it was; the table is <log>/fuzz.tsv, findings are in
<log>/<codec>.log with their files beside it. Case numbers are seeds: --codec NAME --first N --files 1 makes one again.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests"), str(ROOT / "tests/fuzz")]

from campaign import OUTCOMES, Campaign, State  # noqa: E402

from lamofc import codecs  # noqa: E402

COLUMNS = ("codec", "files", "seeds", "framing %", "codec %", "checksum %", "equal", "findings", "refusals", "files/s",
           "files/cpu-s",            "slowest s", "grown MB", "commits")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; prints a line per codec and returns 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="all", help="rows of config/codecs.yaml, joined by commas, or all")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--log", type=Path, default=ROOT / "build/fuzz", help="states, findings and the table")
    parser.add_argument("--config", type=Path, default=ROOT / "config/codecs.yaml")
    options = parser.parse_args(arguments)
    arms = yaml.safe_load(options.config.read_text())
    arms = {name: arm for name, arm in arms.items() if "transfer" not in arm}  # the same bytes as another row
    options.log.mkdir(parents=True, exist_ok=True)
    print("\t".join(COLUMNS), flush=True)
    here = [name for name, arm in arms.items() if not codecs.missing(arm)]  # seeds must be encoded
    for name in here if options.codec == "all" else options.codec.split(","):
        state = _state(name, options)
        state = Campaign(arms[name], ROOT, state, options.first + options.files, options.log).run()
        print("\t".join(_row(state)), flush=True)
        _write_table(options.log)
    return int(any(s.findings for s in _states(options.log)))


def _state(name: str, options: argparse.Namespace) -> State:
    """Where a codec stands: what an earlier run left, or its beginning."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    kept = options.log / f"{name}.json"
    state = State(**json.loads(kept.read_text())) if kept.is_file() and not options.first else None
    state = state or State(name, [], options.first)
    state.commits = list(dict.fromkeys([*state.commits, commit or "unknown"]))
    return state


def _states(log: Path) -> list[State]:
    return [State(**json.loads(p.read_text())) for p in sorted(log.glob("[!.]*.json"))]


def _row(state: State) -> list[str]:
    """Shares are of all files: refused by the framing, by the codec, and by the checksum of the reconstruction.
    refusals: lines of the package at which files were refused."""
    files = max(sum(state.counts.values()), 1)
    shares = [f"{100 * state.counts[k] / files:.1f}" for k in OUTCOMES[:3]]
    return [
        state.codec, str(files), str(state.seeds), *shares, str(state.counts["equal"]), str(state.findings),
        str(len(state.places)), f"{files / max(state.seconds, 1e-9):.0f}",
        f"{files / max(state.processor, 1e-9):.0f}", f"{state.slowest:.2f}",
        f"{state.grown:.0f}", "+".join(state.commits),
    ]  # fmt: skip


def _write_table(log: Path) -> None:
    with open(log / "fuzz.tsv", "w", newline="") as file:
        rows = [COLUMNS, *map(_row, _states(log))]
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
