"""Reading results/scores.tsv, and quality: scores turned so that more is better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lamofc.errors import ConfigError

NEEDED = {"curve", "codec", "point", "bpfp", "score", "reference_score", "family", "unit", "higher_is_better"}


def read(path: Path) -> pd.DataFrame:
    """The table with `quality` and `reference_quality` added; ConfigError if columns are missing or it is empty."""
    table = pd.read_csv(path, sep="\t", dtype={"point": str, "commit": str})
    missing = sorted(NEEDED - set(table.columns))
    if missing or table.empty:
        raise ConfigError(f"{path}: {'no column ' + missing[0] if missing else 'no rows'}; make it with rule collect")
    table["unit"] = table.unit.fillna("")  # a score without a unit is an empty field
    turned = ~table.higher_is_better & (table.unit == "%")
    for name in ("score", "reference_score"):
        values = table[name].to_numpy()
        better = quality(values, table.higher_is_better.to_numpy(), turned.to_numpy())
        table[name.replace("score", "quality")] = better
    return table


def quality(score: np.ndarray, higher: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """The score, 100 - score for error rates in percent, - score for other errors."""
    return np.where(higher, score, np.where(turned, 100 - score, -np.asarray(score)))


def target(row: pd.Series, reference: np.ndarray | float, share: float) -> np.ndarray | float:
    """Quality that counts as `share` of the uncompressed score; for errors without a maximum, error / share."""
    return reference * share if row.higher_is_better or row.unit == "%" else reference / share


def ladders(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(curve, codec, rows in order of rate), in the order of the table."""
    for (curve, codec), rows in table.groupby(["curve", "codec"], sort=False):
        yield curve, codec, rows.sort_values("bpfp", kind="stable")


def curves(table: pd.DataFrame) -> list[str]:
    """Curve names in the order of the table."""
    return list(table.curve.unique())


def lossless_floor(rows: pd.DataFrame) -> float:
    """Lowest rate at which one curve's features came back bit for bit, NaN without such a point. Inputs are no features."""
    exact = rows[(rows.rel_mse == 0) & (rows.family != "input")]
    return float(exact.bpfp.min()) if len(exact) else float("nan")
