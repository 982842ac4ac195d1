"""Numbers as a reader needs them: no more digits than the interval supports."""

from __future__ import annotations

import math

import pandas as pd

MISSING = "–"


def decimals(low: float, high: float) -> int:
    """Decimals at which half the interval keeps one significant digit, two when that is a 1."""
    half = abs(high - low) / 2
    if not math.isfinite(half) or half == 0:
        return 2
    exponent = math.floor(math.log10(half))
    return min(6, max(0, -exponent + (half / 10**exponent < 2)))


def rounded(value: float, low: float, high: float) -> str:
    """ "1.62 [1.58, 1.71]"; ends that are infinite as such, a missing value as a dash."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isnan(low) or math.isnan(high) or low == high:
        return plain(value)
    places = decimals(low, high if math.isfinite(high) else 2 * value - low)
    return f"{fixed(value, places)} [{fixed(low, places)}, {fixed(high, places)}]"


def fixed(value: float, places: int) -> str:
    """Fixed decimals with a real minus sign; never "-0"."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def plain(value: float, digits: int = 3) -> str:
    """Significant digits where no interval is known, with SI-free plain notation."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return fixed(value, min(places, 8))


def side_by_side(tidy: pd.DataFrame, unit: str) -> pd.DataFrame:
    """One line per (curve, codec): value with interval, then overlap, for each measure of a comparison."""
    cells = tidy.assign(
        value=[rounded(r.value, r.low, r.high) for r in tidy.itertuples()],
        overlap=[f"{o:.0%}" if o else MISSING for o in tidy.overlap],
    )
    lines = []
    for (curve, codec), rows in cells.groupby(["curve", "codec"], sort=False):
        line = {"curve": curve, "codec": codec}
        for row in rows.itertuples():
            line |= {f"on {row.measure}{unit}": row.value, f"overlap, {row.measure}": row.overlap}
        lines.append(line)
    return pd.DataFrame(lines)
