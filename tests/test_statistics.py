"""Intervals, pairing, rank correlations, rounding."""

import numpy as np
import pandas as pd
import pytest

from lamofc import statistics
from lamofc.results import numbers, sheets


def test_wilson_by_hand():
    # 8 of 10: centre (8 + 1.92) / 13.84, half width 1.96 / 13.84 * sqrt(1.6 + .96)
    low, high = statistics.wilson(8, 10)
    assert low == pytest.approx(0.4902, abs=2e-4) and high == pytest.approx(0.9433, abs=2e-4)


def test_wilson_stays_open_where_the_bootstrap_collapses():
    assert statistics.wilson(0, 20)[1] > 0.1 and statistics.wilson(20, 20)[0] < 0.9


def test_resamples_are_the_same_for_every_codec():
    assert np.array_equal(statistics.resample(30), statistics.resample(30))
    assert statistics.resample(30).max() == 29 and len(statistics.resample(30, resamples=7)) == 7


def test_pairing_narrows_the_interval_of_a_difference():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    worse = base - 0.01
    chosen, other = statistics.resample(200), statistics.resample(200, seed=1)
    paired = statistics.percentiles((base[chosen] - worse[chosen]).mean(1))
    unpaired = statistics.percentiles(base[chosen].mean(1) - worse[other].mean(1))
    assert paired == (pytest.approx(0.01), pytest.approx(0.01)) and unpaired[0] < 0 < unpaired[1]


def test_percentiles_reach_infinity_with_the_resamples():
    assert statistics.percentiles(np.array([1.0] * 90 + [np.inf] * 10)) == (1.0, np.inf)


def test_rank_correlation():
    assert statistics.rank_correlation(np.array([1, 2, 3]), np.array([1, 10, 100])) == pytest.approx(1)
    assert statistics.rank_correlation(np.array([1, 2, 2, 3]), np.array([4, 3, 3, 1])) == pytest.approx(-1)
    assert np.isnan(statistics.rank_correlation(np.array([1, 2, 3]), np.array([5, 5, 5])))


@pytest.mark.parametrize(
    "value, low, high, text",
    [(71.23456, 62.1, 79.4, "71 [62, 79]"),
     (1.6234, 1.581, 1.7123, "1.62 [1.58, 1.71]"), (-0.2, -3.1, 2.9, "0 [−3, 3]"), (float("nan"), 1, 2, "–"),
     (32.0, 32.0, 32.0, "32.0"), (3.0, 2.7, float("inf"), "3.0 [2.7, ∞]")],
)  # fmt: skip
def test_numbers_have_the_digits_that_their_interval_supports(value, low, high, text):
    assert numbers.rounded(value, low, high) == text


def test_latex_escapes():
    assert r"a\_b & 5\% \\" in sheets.latex(pd.DataFrame({"x_": ["a_b"], "y": ["5%"]}), "c")


def test_weighted_rank_correlation_is_that_of_points_written_out():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 5, 12), rng.normal(size=12)
    weights = rng.integers(0, 4, (5, 12))
    weights[4] = 0
    weights[4, 3] = 2  # a single point has no order
    found = statistics.weighted_rank_correlations(x, y, weights)
    wanted = [statistics.rank_correlation(np.repeat(x, w), np.repeat(y, w)) for w in weights[:4]]
    assert found[:4] == pytest.approx(wanted) and np.isnan(found[4])
