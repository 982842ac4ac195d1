"""Errors a user can act on: every message names the value or file and the fix."""

from __future__ import annotations


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
