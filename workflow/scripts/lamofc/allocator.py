"""What the C library does with memory that arrays give back."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt, malloc.h
_KEPT = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of giving it to the system and asking for it anew.

    Large arrays come and go with every sample, and the system clears each page that it hands out: a third of the time
    of a network that codes planes, a tenth of a language model's tail. Only glibc has the switch; elsewhere nothing
    changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _KEPT)
