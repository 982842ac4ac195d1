"""One thread for the numeric libraries, so that their results do not depend on how many there are."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager:
    """A context in which BLAS and OpenMP use one thread.

    Libraries are looked for again only after further modules were imported: a look takes half a millisecond to four,
    a short packet less.
    """
    return _found(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _found(modules: int) -> ThreadpoolController:
    return ThreadpoolController()
