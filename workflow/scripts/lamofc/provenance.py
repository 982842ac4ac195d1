"""Which code made a result: the commit, and the source files a module is built from."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[2]
# Import statements at any depth; a parser takes five times as long, at every call of the workflow.
IMPORT = re.compile(r"^ *(?:from +(lamofc[\w.]*) +import +(\([^)]*\)|.*)|import +(lamofc[\w.]*))", re.MULTILINE)


@functools.cache
def commit() -> str:
    """Short hash of the checked-out commit, "-dirty" when tracked files differ, "unknown" outside git."""
    try:
        run = functools.partial(subprocess.run, cwd=ROOT, capture_output=True, text=True, check=True)
        name = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        dirty = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}-dirty" if dirty else name


@functools.cache
def sources(*modules: str) -> tuple[str, ...]:
    """Files of these modules and of every lamofc module they import, directly or not, sorted.

    Rules name them as inputs: editing a codec reruns that codec, editing a shared part reruns its users.
    """
    found = frozenset().union(*map(_closure, modules))
    return tuple(sorted(str(p.relative_to(ROOT)) for p in found))


@functools.cache
def _closure(module: str) -> frozenset[Path]:
    found: set[Path] = set()
    todo = [_file(module)]
    while todo:
        path = todo.pop()
        if path is not None and path not in found:
            found.add(path)
            todo += [_file(m) for m in _imports(path)]
    return frozenset(found)


@functools.cache
def _file(module: str) -> Path | None:
    path = PACKAGE.parent / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for package, imported, module in IMPORT.findall(path.read_text()):
        names += [module, package, *(f"{package}.{name}" for name in re.findall(r"\w+", imported))]
    return tuple(n for n in names if n.startswith("lamofc"))
