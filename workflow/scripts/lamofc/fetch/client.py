"""Running a registry's command-line client."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lamofc.errors import FetchError


def require(program: str, advice: str) -> str:
    """Full path of a program, or FetchError with `advice`."""
    path = shutil.which(program)
    if path is None:
        raise FetchError(f"{program} is not installed on this machine. {advice}")
    return path


def run(command: Sequence[str], folder: Path, purpose: str, advice: str) -> None:
    """Run a client in `folder`; FetchError with the end of what it said when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise FetchError(f"{purpose} failed (exit {done.returncode}): {said}. {advice}")
