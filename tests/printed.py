"""What a figure prints: its texts with their places, to see that they are large enough, inside and apart."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

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
