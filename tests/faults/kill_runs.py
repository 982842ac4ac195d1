"""Kill the workflow and single jobs with SIGKILL at random instants, run it again, and compare with a run in peace.

`python tests/faults/kill_runs.py --kills 40 --seed 0 --log faults.jsonl` appends one line per kill; a second call goes
on where the first ended. Exit code 1 and the line's `wrong` say what broke.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import project

KINDS = ("workflow", "session", "job", "worker")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("kill_runs.jsonl"))
    options = parser.parse_args()
    past = [json.loads(line) for line in options.log.read_text().splitlines()] if options.log.exists() else []
    with tempfile.TemporaryDirectory(prefix="lamofc-faults.") as folder:
        past += attack(Path(folder), options.kills - len(past), options.seed + len(past), options.log)
    wrong = [line for line in past if line["wrong"]]
    by_kind = {k: sum(line["kind"] == k for line in past) for k in KINDS}
    print(json.dumps({"kills": len(past), "by_kind": by_kind, "wrong": wrong}, indent=1))
    return 1 if wrong else 0


def attack(folder: Path, kills: int, seed: int, log: Path | None = None) -> list[dict[str, Any]]:
    """Kill runs until there were `kills` kills; -> one record each. Runs are killed again and again until they end."""
    rng, done = np.random.default_rng(seed), []
    start = time.time()
    whole = undisturbed(folder / "peace")
    seconds = time.time() - start
    for number in itertools.count():
        if len(done) >= kills:
            break
        place = project.make(folder / f"war{number}")
        records = until_done(place, whole, rng, seconds, kills - len(done))
        done += records
        if log:
            with open(log, "a") as file:
                file.writelines(json.dumps(r | {"seed": seed}) + "\n" for r in records)
    return done


def undisturbed(place: Path) -> dict[str, bytes]:
    code, said = project.run(project.make(place))
    assert code == 0, said
    return project.contents(place)


def until_done(
    place: Path, whole: dict[str, bytes], rng: np.random.Generator, seconds: float, kills: int
) -> list[dict[str, Any]]:
    """One project run and killed up to `kills` times, up to its end; -> records, the last with the final verdict."""
    records: list[dict[str, Any]] = []
    kept: dict[str, tuple[int, int]] = {}
    for _ in range(min(kills, 6)):
        process = project.start(place, log=place / "said.txt")
        delay = rng.uniform(0.5, max(seconds * 0.9, 2))
        kind = project.random_kill(process, rng, str(rng.choice(KINDS)), delay)
        process.wait()
        if kind == "nothing":
            break
        finished = project.finished(place)
        records.append({"kind": kind, "after": round(delay, 2), "finished": len(finished),
                        "wrong": redone(kept, finished) + damaged(place, finished, whole)})  # fmt: skip
        kept |= finished
    code, said = project.run(place)
    if not records:
        return []
    if code:
        records[-1]["wrong"] += [f"rerun failed: {said[-1500:]}"]
    records[-1]["wrong"] += redone(kept, project.finished(place)) + differences(project.contents(place), whole)
    records[-1]["wrong"] += [f"left behind: {name}" for name in project.litter(place)]
    return records


def redone(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    """Outputs that were finished and are another file now."""
    return [f"redone: {name}" for name, stat in before.items() if after.get(name) != stat]


def damaged(place: Path, finished: dict[str, tuple[int, int]], whole: dict[str, bytes]) -> list[str]:
    """Finished outputs that are not what the undisturbed run made."""
    found, prefix = project.contents(place), "results/toy/"
    names = [n.removeprefix(prefix) for n in finished if n.startswith(prefix)]
    mine = {k: v for k, v in whole.items() if any(k == n or k.startswith(n + "/") for n in names)}
    return [f"partial: {name}" for name, data in mine.items() if found.get(name) != data]


def differences(found: dict[str, bytes], whole: dict[str, bytes]) -> list[str]:
    return [f"differs: {name}" for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]


if __name__ == "__main__":
    sys.exit(main())
