"""Which code made a result: the commit, and the source files a module is built from."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[2]


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


def sources(*modules: str) -> list[str]:
    """Files of these modules and of every lamofc module they import, directly or not, sorted.

    Rules name them as inputs: editing a codec reruns that codec, editing a shared part reruns its users.
    """
    found: set[Path] = set()
    todo = [_file(m) for m in modules]
    while todo:
        path = todo.pop()
        if path is not None and path not in found:
            found.add(path)
            todo += [_file(m) for m in _imports(path)]
    return sorted(str(p.relative_to(ROOT)) for p in found)


def _file(module: str) -> Path | None:
    path = PACKAGE.parent / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return tuple(n for n in names if n.startswith("lamofc"))
