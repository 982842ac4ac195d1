"""What a figure prints: its texts, to see that they are large enough, inside and apart; distances of its colours."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

# How light of linear red, green and blue is seen without one kind of cones: Machado, Oliveira, Fernandes (2009).
EYES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
TOUCH = 0.8  # points by which boxes may meet: they are a little larger than the letters


def texts(figure: Figure) -> list[Text]:
    """Those that are drawn, which labels of ticks outside an axis are not."""
    found, draw = [], Text.draw

    def record(self: Text, renderer: object) -> None:
        if self.get_visible() and self.get_text().strip() and self not in found:
            found.append(self)
        draw(self, renderer)

    Text.draw = record
    try:
        figure.draw_without_rendering()
    finally:
        Text.draw = draw
    return found


def faults(figure: Figure, smallest: float) -> list[str]:
    """Texts that are too small or hold raised exponents, leave the figure, or lie on each other."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # savefig may have left another kind
    shown, wrong = texts(figure), []
    wrong += [f"small: {t.get_text()!r} {t.get_fontsize()}" for t in shown if t.get_fontsize() < smallest]
    wrong += [f"exponent: {t.get_text()!r}" for t in shown if "^" in t.get_text()]
    pixel = figure.dpi / 72
    boxes = [(t, t.get_window_extent(renderer).padded(-TOUCH * pixel)) for t in shown]
    for text, box in boxes:
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1:
            wrong.append(f"clipped: {text.get_text()!r}")
    wrong += [
        f"overlap: {a.get_text()!r} {b.get_text()!r}" for (a, p), (b, q) in combinations(boxes, 2) if p.overlaps(q)
    ]
    return wrong


def closest(colours: Iterable[str]) -> tuple[float, str, str, str]:
    """Smallest CIELAB distance of any two colours for any eye: (distance, colour, colour, eye)."""
    pairs = list(combinations(dict.fromkeys(colours), 2))
    return min((float(np.linalg.norm(_lab(a, m) - _lab(b, m))), a, b, eye) for a, b in pairs for eye, m in EYES.items())


def _lab(colour: str, eye: object) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = XYZ @ np.clip(np.array(eye) @ linear, 0, 1) / WHITE
    x, y, z = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
