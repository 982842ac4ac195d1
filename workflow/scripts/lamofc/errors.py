"""Errors a user can act on: every message names the value or file and the fix."""

from __future__ import annotations

import errno

# What to do about an error of the operating system that has nothing to do with what a job computes.
_SPACE = "free space or set another `results:`, then run again: finished jobs are kept"
_RIGHTS = "make the folder writable or set another `results:`, then run again: finished jobs are kept"
FIXES = {errno.ENOSPC: _SPACE, errno.EDQUOT: _SPACE, errno.EFBIG: _SPACE,
         errno.EROFS: _RIGHTS, errno.EACCES: _RIGHTS, errno.EPERM: _RIGHTS}  # fmt: skip


def described(error: OSError) -> str:
    """The operating system's words and, where there is one, what to do."""
    return f"{type(error).__name__}: {error}" + (f"; {FIXES[error.errno]}" if error.errno in FIXES else "")


class LamofcError(Exception):
    """Base of all errors that end a run with one clear line instead of a traceback."""


class ConfigError(LamofcError):
    """A configuration value is unknown, missing or out of range."""


class FetchError(LamofcError):
    """A package or model could not be obtained, or is not the pinned one."""


class StoreError(LamofcError):
    """A feature store is incomplete, damaged, or does not hold what was asked of it."""


class BitstreamError(LamofcError):
    """A bitstream is truncated, damaged, forged, or of an unknown version."""


class FeatureError(LamofcError):
    """Features that no codec may take: NaN, infinity, wrong shape or wrong dtype."""


class JobError(LamofcError):
    """A job ended by an error of another library or of the machine; its log has the traceback."""


class RunError(LamofcError):
    """A run cannot start: another one has the results folder, or it cannot be written."""
