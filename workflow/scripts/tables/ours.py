"""The project's codec against every other codec: what it saves at equal damage and at equal score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc.results import comparison, numbers, ours

CAPTION = (
    "BD-rate in percent of the project's codec against others (negative: it needs fewer bits), over the common range "
    "of damage and of score, 95 % intervals by paired bootstrap. Best other: the codec of the curve that comes "
    "closest; paper's pair: the better of hyperprior and ELIC with assignment to the nearest. Means are geometric, "
    "over the curves of a scenario, then over scenarios. Last column: codecs that are significantly better. "
    "Inputs and transferred codecs are not compared; – : refused, with the reason in the TSV."
)
_COLUMNS = ["level", "name", "category", "scenario", "against", "codec", "measure", "value", "low", "high", "better",
            "overlap", "curves", "scenarios", "refused"]  # fmt: skip


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    found = ours.duels(scores, samples)
    if found.empty:
        return pd.DataFrame(columns=_COLUMNS), pd.DataFrame({"curve": []}), CAPTION
    picked = pd.concat([ours.chosen(found, a) for a in (ours.PAIR, ours.BEST)])
    means = ours.means(picked)
    single = pd.concat([found.assign(against="one"), picked]).assign(level="curve", name=lambda t: t.curve)
    return pd.concat([single, means]).reindex(columns=_COLUMNS), _printed(found, picked, means), CAPTION


def _printed(found: pd.DataFrame, picked: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    lines = [_line(c, picked[picked.curve == c], rows) for c, rows in found.groupby("curve", sort=False)]
    groups = means[means.level != "scenario"].groupby(["level", "name"], sort=False)
    return pd.DataFrame(lines + [_line(f"mean, {name}", rows, None) for (_, name), rows in groups])


def _line(name: str, rows: pd.DataFrame, duels: pd.DataFrame | None) -> dict[str, str]:
    out = {"curve": name}
    for against in (ours.PAIR, ours.BEST):
        for measure in comparison.MEASURES[::-1]:
            own = rows[(rows.against == against) & (rows.measure == measure)]
            out[f"{against}, on {measure}"] = _cell(own.iloc[0], against) if len(own) else numbers.MISSING
    if duels is not None:
        better = duels[duels.better == "theirs"]
        return out | {"better": ", ".join(f"{r.codec} ({r.measure})" for r in better.itertuples()) or "none"}
    return out | {"better": numbers.MISSING}


def _cell(row: pd.Series, against: str) -> str:
    text = numbers.rounded(row.value, row.low, row.high)
    return f"{text} {row.codec}" if against == ours.BEST and "codec" in row and isinstance(row.codec, str) else text
