"""Features that others computed and published: one zstd-compressed torch file per sample -> our feature stores.

Nothing in such a file is trusted: sizes are bounded before memory is taken, and only plain tensors in lists and
dicts are loaded (`torch.load(weights_only=True)`), never code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from lamofc.errors import FeatureError
from lamofc.hosted import archive, schemas
from lamofc.interfaces import Sample, TensorSpec
from lamofc.store import FeatureWriter

SUFFIXES = (".pt", ".pth", ".zst", ".zstd")


def files_of(place: Path) -> list[Path]:
    """The file `place`, or those below the folder, by name; FeatureError when there is none."""
    found = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in SUFFIXES)
    if not found:
        raise FeatureError(f"{place}: no feature files (*{', *'.join(SUFFIXES)}) here; see docs/import.md")
    return found


def write_store(
    files: list[Path],
    out: Path,
    schema: str = schemas.AUTO,
    rope_theta: float | None = None,
    max_bytes: int = archive.MAX_BYTES,
) -> int:
    """One sample per file into a new store, its id the file's name; -> samples. The first file fixes the tensors.

    Raises FeatureError with the file's name for what is no such file, another schema, or another shape than before.
    """
    samples = _samples(files, schema, rope_theta, max_bytes)
    specs, name, sample = next(samples)
    writer = FeatureWriter(out, specs)
    writer.add(name, sample)
    for more, name, sample in tqdm(samples, total=len(files) - 1, desc="import", mininterval=5):
        if more != specs:
            raise FeatureError(
                f"{name}: holds {_differing(more, specs)}, unlike {files[0].name}: another model or split?"
            )
        writer.add(name, sample)
    writer.close()
    return len(writer)


def _samples(
    files: list[Path], schema: str, rope_theta: float | None, max_bytes: int
) -> Iterator[tuple[tuple[TensorSpec, ...], str, Sample]]:
    for path in files:
        specs, sample = schemas.sample_of(archive.load(path, max_bytes), schema, path, rope_theta)
        yield specs, path.name.split(".")[0], sample


def _differing(found: tuple[TensorSpec, ...], wanted: tuple[TensorSpec, ...]) -> str:
    new = [s for s in found if s not in wanted]
    return ", ".join(f"{s.name} {s.dtype} {list(s.shape)}" for s in new) or f"{len(found)} of {len(wanted)} tensors"
