"""Rounds of Snakemake's scheduler do not multiply."""

import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from lamofc import rounds


class Scheduler:
    def __init__(self):
        self._open_jobs = threading.Semaphore(0)

    def _schedule_reevalutation(self, delay):
        raise AssertionError("replaced")


def test_rounds_in_quick_succession_set_one_timer():
    rounds.one_timer(Scheduler)
    scheduler, before = Scheduler(), threading.active_count()
    for _ in range(50):
        scheduler._schedule_reevalutation(0.2)
    assert threading.active_count() == before + 1
    assert not scheduler._open_jobs.acquire(blocking=False)
    assert scheduler._open_jobs.acquire(timeout=5)
    deadline = time.monotonic() + 5
    while scheduler._pending_round.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not scheduler._open_jobs.acquire(blocking=False)
    scheduler._schedule_reevalutation(0.01)  # after it a new one may be set
    assert scheduler._open_jobs.acquire(timeout=5)


def test_snakemake_still_has_what_is_replaced():
    assert callable(JobScheduler._schedule_reevalutation)


def test_a_scheduler_without_timers_stays_as_it_is():
    class Other:
        pass

    rounds.one_timer(Other)
    assert not hasattr(Other, "_schedule_reevalutation")
