"""What a job computed, as benchmarks/workflow.py reads it from the end of its log."""

from __future__ import annotations

import resource


def seconds() -> float:
    """Processor time of this process and of programs that it ran to their end."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def line(before: float = 0.0) -> str:
    """Processor time since `before` and this process's peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{seconds() - before:.1f} s of processor time, peak {peak:.0f} MiB"
