"""BD deltas and ladders against hand-worked numbers and, where installed, another implementation."""

import numpy as np
import pytest

from lamofc import bd, ladder

SCORES = np.array([10.0, 40.0, 70.0, 90.0])
RATES = np.array([0.5, 1.0, 2.0, 4.0])


def test_a_codec_at_twice_the_rate_costs_100_percent():
    delta = bd.bd_rate((RATES, SCORES), (2 * RATES, SCORES))
    assert delta.value == pytest.approx(100) and delta.overlap == 1 and delta.points == (4, 4) and not delta.refused


def test_a_codec_five_points_better_gains_five_points():
    delta = bd.bd_quality((RATES, SCORES), (RATES, SCORES + 5))
    assert delta.value == pytest.approx(5)


def test_hand_worked_lines():
    # log2 rate is linear in quality with slopes 1 and 2 per step: over quality 0..2 they are 0..2 and 1..5 doublings,
    # on average 1 and 3, so the test codec needs 2**2 = 4 times the rate.
    quality = np.array([0.0, 1.0, 2.0])
    delta = bd.bd_rate((2.0**quality, quality), (2.0 ** (1 + 2 * quality), quality))
    assert delta.value == pytest.approx(300)


def test_refuses_curves_without_overlap_and_with_too_few_points():
    assert "do not overlap" in bd.bd_rate((RATES, SCORES), (RATES, SCORES + 100)).refused
    assert "only" in bd.bd_rate((RATES, SCORES), (RATES, SCORES + 75)).refused
    assert "codec has 1 points" in bd.bd_rate((RATES, SCORES), (RATES[:1], SCORES[:1])).refused
    assert "anchor has 2 points" in bd.bd_quality((RATES[:2], SCORES[:2]), (RATES, SCORES)).refused
    assert bd.bd_rate((RATES[:0], SCORES[:0]), (RATES, SCORES)).refused


def test_agrees_with_the_bjontegaard_package():
    other = pytest.importorskip("bjontegaard", reason="the bjontegaard package, a test dependency, is not installed")
    rng = np.random.default_rng(0)
    for _ in range(20):
        curves = [(np.sort(rng.uniform(0.1, 8, 6)), np.sort(rng.uniform(20, 90, 6))) for _ in range(2)]
        options = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
        (r0, q0), (r1, q1) = curves
        for ours, theirs in ((bd.bd_rate, other.bd_rate), (bd.bd_quality, other.bd_psnr)):
            delta = ours(*curves)
            if not delta.refused:
                assert delta.value == pytest.approx(theirs(r0, q0, r1, q1, **options), rel=1e-6)


def test_envelope_is_the_best_at_this_rate_or_less():
    rates, quality = ladder.envelope(np.array([4, 1, 2, 2.0]), np.array([60, 50, 70, 65.0]))
    assert rates.tolist() == [1, 2, 4] and quality.tolist() == [50, 70, 70]
    rates, quality = ladder.front(np.array([4, 1, 2, 2.0]), np.array([60, 50, 70, 65.0]))
    assert rates.tolist() == [1, 2] and quality.tolist() == [50, 70]


def test_rate_at_is_linear_in_log_rate():
    rate, lowest = ladder.rate_at(np.array([1.0, 4.0]), np.array([0.0, 100.0]), 50)
    assert rate == pytest.approx(2) and not lowest


def test_rate_at_does_not_trust_a_lucky_point():
    rates = np.array([1.0, 2.0, 4.0, 8.0])
    rate, _ = ladder.rate_at(rates, np.array([100.0, 0.0, 100.0, 100.0]), 100)
    assert rate == pytest.approx(4)


def test_rate_at_says_bound_and_not_reached_for_each_resample():
    quality = np.array([[90.0, 95.0], [10.0, 20.0], [10.0, 90.0]])
    rate, lowest = ladder.rate_at(np.array([1.0, 2.0]), quality, 80)
    assert rate[0] == 1 and np.isinf(rate[1]) and 1 < rate[2] < 2
    assert lowest.tolist() == [True, False, False]
