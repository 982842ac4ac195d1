"""One timer for the scheduler of Snakemake 9, not one for every round.

Each of its rounds sets a timer for the next, and so does each finished job; every timer starts a round. After three
hundred jobs that were three hundred rounds a second, which took a third of a core and more with every job.
"""

from __future__ import annotations

import threading
from typing import Any


def one_timer(scheduler: type) -> None:
    """Let schedulers of this class hold one pending timer at most; releases without such timers stay as they are."""
    if hasattr(scheduler, "_schedule_reevalutation"):  # spelled so
        scheduler._schedule_reevalutation = _once


def _once(self: Any, delay: float) -> None:
    pending = getattr(self, "_pending_round", None)
    if pending is None or not pending.is_alive():
        self._pending_round = threading.Timer(delay, self._open_jobs.release)
        self._pending_round.start()
