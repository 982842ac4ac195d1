"""One codec's cases in a forked process that is watched from outside: what crashes, stalls or grows is a finding."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import signal
import struct
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trial import Trial  # before any fork: importing numpy takes longer than the seeds

MEMORY = 1 << 30  # bytes beyond what the process holds once its seeds are made
SECONDS = 20.0  # of processor time for one file
PREPARATION = 900.0  # seconds for the seeds
OUTCOMES = ("framing", "codec", "checksum", "equal", "silently wrong", "misshapen", "exception", "memory", "slow",
            "crash", "hang")  # fmt: skip
_SHARED = struct.Struct(f"<q2d{len(OUTCOMES)}q")  # next case, when it began (0: preparing), slowest, counts
_LOOK = 0.5
_FOLDER = Path("/dev/shm")


@dataclass
class State:
    """What is known of a codec's cases so far; kept as <log>/<codec>.json, from which a campaign goes on."""

    codec: str
    commits: list[str]
    next: int
    seconds: float = 0.0
    processor: float = 0.0  # seconds of it that the decoding process computed, its seeds apart
    slowest: float = 0.0
    seeds: int = 0
    grown: float = 0.0  # MB of the process beyond its seeds
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    places: dict[str, int] = field(default_factory=dict)  # line of the package -> files refused there

    @property
    def findings(self) -> int:
        return sum(n for what, n in self.counts.items() if what not in OUTCOMES[:4])


class Campaign:
    """Run cases state.next .. last-1 of a row; findings are appended to <log>/<codec>.log, their files kept there."""

    def __init__(self, arm: dict, root: Path, state: State, last: int, log: Path) -> None:
        self.arm, self.root, self.state, self.last, self.log = arm, root, state, last, log
        self._shared = mmap.mmap(-1, _SHARED.size)
        self._private = log / f".{state.codec}.child.json"

    def run(self) -> State:
        """Returns when all cases are done; `state` is written every few seconds."""
        while self.state.next < self.last:
            self._write((self.state.next, 0.0, self.state.slowest, *self.state.counts.values()))
            child = os.fork()
            if child == 0:
                self._child()
            self._watch(child)
        return self.state

    def _watch(self, child: int) -> None:
        begun, saved, patience = time.monotonic(), 0.0, _Patience()
        before = self.state.seconds
        try:
            while True:
                done, status = os.waitpid(child, os.WNOHANG)
                self._take(before + time.monotonic() - begun)
                if done:
                    if self.state.next < self.last:
                        self._lost(f"crash, {_reason(status)}", "crash")
                    break
                if patience.ends(self._read()[1]):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    self._lost("hang", "hang")
                    break
                if time.monotonic() - saved > 5:
                    self.save()
                    saved = time.monotonic()
                time.sleep(_LOOK if time.monotonic() - begun > 10 * _LOOK else _LOOK / 20)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            raise
        finally:
            self.save()

    def _lost(self, text: str, outcome: str) -> None:
        if not self._read()[1]:
            raise RuntimeError(f"{self.state.codec}: its seeds could not be made ({text}); see {self._log_file}")
        self._note(self.state.next, text, "")
        self.state.counts[outcome] += 1
        self.state.next += 1

    def _take(self, seconds: float) -> None:
        """What the child has told so far."""
        case, _, self.state.slowest, *counts = self._read()
        self.state.next, self.state.seconds = case, seconds
        self.state.counts = dict(zip(OUTCOMES, counts, strict=True))
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(self._private.read_text())
            self._private.unlink()
            self.state.seeds, self.state.grown = told["seeds"], max(self.state.grown, told["grown"])
            self.state.processor += told["processor"]
            for place, count in told["places"].items():
                self.state.places[place] = self.state.places.get(place, 0) + count

    def save(self) -> None:
        """Write the state; a killed run goes on from it."""
        partial = self.log / f".{self.state.codec}.json"
        partial.write_text(json.dumps(asdict(self.state), indent=1))
        os.replace(partial, self.log / f"{self.state.codec}.json")

    @property
    def _log_file(self) -> Path:
        return self.log / f"{self.state.codec}.log"

    def _note(self, case: int, outcome: str, detail: str) -> None:
        with open(self._log_file, "a") as file:
            file.write(f"case {case}: {outcome}\n{detail}\n")

    def _read(self) -> tuple:
        return _SHARED.unpack(self._shared[:])

    def _write(self, values: tuple) -> None:
        self._shared[:] = _SHARED.pack(*values)

    def _child(self) -> None:
        """Never returns. Its output goes to the log, since libraries write to it as they die."""
        code = 1
        try:
            with open(self._log_file, "a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            with tempfile.TemporaryDirectory(dir=_FOLDER if _FOLDER.is_dir() else None) as folder:
                self._work(Path(folder) / "a.lmfc")
            code = 0
        except BaseException as error:
            self._note(self.state.next, "the fuzzer failed", repr(error))
        finally:
            os._exit(code)

    def _work(self, path: Path) -> None:
        trial = Trial(self.arm, self.root, path)
        held = _resident()
        _limit_memory()
        case, _, slowest, *counts = self._read()
        told, used = time.monotonic(), time.process_time()
        while case < self.last:
            self._write((case, time.monotonic(), slowest, *counts))
            seed, data = trial.mutant(case)
            start = time.process_time()
            outcome, detail = trial.attempt(seed, data)
            seconds = time.process_time() - start
            outcome = "slow" if seconds > SECONDS else outcome
            counts[OUTCOMES.index(outcome)] += 1
            slowest, case = max(slowest, seconds), case + 1
            if outcome not in OUTCOMES[:4]:
                self._note(case - 1, outcome, detail)
                (self.log / f"{self.state.codec}-{case - 1}.lmfc").write_bytes(data)
            if case == self.last or time.monotonic() - told > 4:
                self._tell({"seeds": len(trial.seeds), "grown": _resident() - held,
                            "processor": time.process_time() - used, "places": dict(trial.places)})  # fmt: skip
                told, used = time.monotonic(), time.process_time()
                trial.places.clear()
        self._write((case, time.monotonic(), slowest, *counts))

    def _tell(self, told: dict) -> None:
        """Leave word for the parent, which takes it away; what it has not taken is added to."""
        with contextlib.suppress(OSError, ValueError):
            old = json.loads(self._private.read_text())
            told["processor"] += old["processor"]
            for place, count in old["places"].items():
                told["places"][place] = told["places"].get(place, 0) + count
        partial = self._private.with_suffix(".part")
        partial.write_text(json.dumps(told))
        os.replace(partial, self._private)


class _Patience:
    """How long a file, or the seeds, may take. On a busy machine a file may wait long for a processor: ten times what
    it may compute. Time in which the watcher did not run either, such as that of a suspended machine, does not count.
    """

    def __init__(self) -> None:
        self._looked, self._started, self._waited = time.monotonic(), 0.0, 0.0

    def ends(self, started: float) -> bool:
        """started: when the file was begun that is being decoded, 0 during preparation."""
        now = time.monotonic()
        self._waited = 0.0 if started != self._started else self._waited + min(now - self._looked, 4 * _LOOK)
        self._looked, self._started = now, started
        return self._waited > (10 * SECONDS if started else PREPARATION)


def _reason(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"


def _resident() -> float:
    """Largest memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
