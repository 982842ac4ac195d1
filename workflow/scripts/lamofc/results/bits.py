"""Where the bits of a bitstream file go: payload by tensor kind, side information, framing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lamofc import codecs
from lamofc.bitstream import BitstreamReader
from lamofc.interfaces import JOINT
from lamofc.jsonio import read_json
from lamofc.stages.code import SUFFIX

SIDE, FRAMING, SEVERAL = "side information", "framing", "several kinds"


def collect(folders: Sequence[Path]) -> pd.DataFrame:
    """Folders <curve>/<arm> of bitstreams -> one row per (curve, codec, point, part); their bytes fill the file.

    padding: share of the values that a codec of planes coded which are no features, NaN for other codecs.
    """
    return pd.DataFrame(
        {"curve": f.parent.name, "codec": f.name, "point": point, "part": part, "bytes": size, "padding": share}
        for f in map(Path, folders)
        for point in read_json(f / "encode.json")["points"]
        for share in [padding(f / (point + SUFFIX))]
        for part, size in breakdown(f / (point + SUFFIX)).items()
    )


def padding(path: Path) -> float:
    """Share of padding among the values of the planes in a file, by the codec's own layout; NaN without planes."""
    reader = BitstreamReader(path)
    entry = reader.header["codec"]
    codec = codecs.build(entry["codec"], entry.get("parameters", {}))
    if not hasattr(codec, "plane_size"):
        return float("nan")
    own = coded = 0
    for index in range(len(reader)):
        shapes = reader.shapes(index)
        for spec in [s for s in reader.specs if math.prod(shapes[s.name])]:
            own += math.prod(shapes[spec.name])
            coded += codec.plane_size(spec, shapes[spec.name])
    return 1 - own / coded if coded else float("nan")


def breakdown(path: Path) -> dict[str, int]:
    """Bytes by part: tensor kinds, sections `<tensor>/<what>`, and header, lengths, checksums and index together.

    One section for tensors of several kinds is a part of its own: which bits are whose only a decoder could tell.
    """
    reader = BitstreamReader(path)
    kinds = {s.name: s.kind for s in reader.specs}
    kinds[JOINT] = reader.specs[0].kind if len(set(kinds.values())) == 1 else SEVERAL
    parts = [kinds.get(name, SIDE) for name in reader.sections]
    sizes: Counter[str] = Counter(dict.fromkeys(parts, 0))
    for index in range(len(reader)):
        for part, data in zip(parts, reader.packet(index).sections, strict=True):
            sizes[part] += len(data)
    return dict(sizes) | {FRAMING: path.stat().st_size - sizes.total()}
