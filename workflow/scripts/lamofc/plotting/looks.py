"""How a codec is drawn everywhere: marker and colour say its family, filling and line which one it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.lines import Line2D

GREY = "#b8b8b8"
# Most are of Okabe & Ito (2008); a test holds all apart for any colour vision. The marker says it in black and white.
FAMILIES: dict[str, tuple[str, str]] = {
    "reference": ("s", "#000000"),
    "numeric": ("o", "#0072b2"),
    "learned": ("^", "#d55e00"),
    "kv": ("D", "#009e73"),
    "image": ("v", "#cc79a7"),
    "scientific": ("P", "#e69f00"),
    "transform": ("X", "#56b4e9"),
    "vector": ("p", "#801500"),
    "ours": ("*", "#7a0177"),
    "input": ("H", "#4d4d4d"),
}
# A codec beside others of its family: colour and marker stay, filling and line differ.
VARIANTS = ((1.0, "-"), (0.0, "--"), (0.45, ":"), (0.2, "-."), (0.7, "--"), (0.3, "-"), (0.85, ":"), (0.1, "-."))
_AREA = {"*": 1.5, "^": 1.1, "v": 1.1, "P": 1.15, "X": 1.15, "D": 0.85, "H": 1.1}  # so that all look equally large
_SPARE = [("<", "#5b5b5b"), (">", "#8a3b12"), ("h", "#1b5e4a"), ("d", "#44337a")]


def look(family: str) -> tuple[str, str]:
    """Marker and colour of a codec family; a family without its own gets a spare one, the same every time."""
    return FAMILIES.get(family) or _SPARE[sum(family.encode()) % len(_SPARE)]


@dataclass(frozen=True)
class Look:
    """How one codec is drawn. filled: 1 full, 0 hollow, between: pale."""

    marker: str
    colour: str
    filled: float = 1.0
    dash: str = "-"

    @property
    def face(self) -> str:
        """Colour of the marker's inside, #rrggbb."""
        full = matplotlib.colors.to_rgb(self.colour)
        return matplotlib.colors.to_hex([1 - self.filled * (1 - c) for c in full])

    def line(self, size: float = 3.2, **more: object) -> dict[str, object]:
        """Keyword arguments of Axes.plot."""
        return {"marker": self.marker, "color": self.colour, "mfc": self.face, "mec": self.colour, "mew": 0.6,
                "ls": self.dash, "ms": size * _AREA.get(self.marker, 1.0)} | more  # fmt: skip


def of(rows: object) -> dict[str, Look]:
    """{codec: its look} for the codecs of a table, in its order."""
    codecs = rows.drop_duplicates("codec")
    seen: dict[str, int] = {}
    found = {}
    for codec, family in zip(codecs.codec, codecs.family, strict=True):
        number = seen[family] = seen.get(family, -1) + 1
        found[codec] = Look(*look(family), *VARIANTS[number % len(VARIANTS)])
    return found


def codec_entries(known: Mapping[str, Look], codecs: Iterable[str]) -> list[Line2D]:
    """Legend entries of codecs, families together."""
    order = list(dict.fromkeys(k.colour for k in known.values()))
    chosen = sorted(set(codecs), key=lambda c: (order.index(known[c].colour), list(known).index(c)))
    return [Line2D([], [], label=c, **known[c].line(4)) for c in chosen]


def family_entries(families: Iterable[str]) -> list[Line2D]:
    """Legend entries of families, in the order of FAMILIES."""
    known = list(FAMILIES)
    ordered = sorted(set(families), key=lambda f: (known.index(f) if f in known else len(known), f))
    return [Line2D([], [], label=f, **Look(*look(f)).line(4, ls="")) for f in ordered]


def heat(norm: matplotlib.colors.Normalize) -> matplotlib.cm.ScalarMappable:
    """Colours of numbers where little is good: light; made for any colour vision, and in order of lightness."""
    return matplotlib.cm.ScalarMappable(norm, "cividis_r")
