"""models.tsv: uncompressed scores, intervals, chance and n of a made-up run are those of its samples."""

from __future__ import annotations

import importlib

import pandas as pd
import pytest
import synthetic_results

from lamofc import statistics


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = synthetic_results.make(tmp_path_factory.mktemp("run"), curves=8, codecs=["identity", "uq-ec"], n=60)
    tidy, printed, _ = importlib.import_module("tables.models").make(run["scores"], run["samples"])
    return tidy.set_index("curve"), printed, pd.read_parquet(run["samples"]), pd.read_csv(run["scores"], sep="\t")


def test_every_curve_has_one_row_with_its_uncompressed_score(made):
    tidy, printed, _, scores = made
    assert list(tidy.index) == list(scores.curve.unique()) and len(printed) == len(tidy) == 8
    identity = scores[scores.codec == "identity"].set_index("curve")
    assert (tidy.score - identity.score).abs().max() < 1e-3 and (tidy.n == 60).all()
    assert ((tidy.score_low < tidy.score) & (tidy.score < tidy.score_high)).all()


def test_the_interval_of_right_and_wrong_is_wilsons(made):
    tidy, _, samples, _ = made
    curve = next(c for c in tidy.index if c.startswith("capitals"))
    right = samples[(samples.curve == curve) & (samples.codec == "identity")]["reference.correct"]
    low, high = statistics.wilson(right.sum(), len(right))
    assert tidy.score_low[curve] == pytest.approx(100 * low) and tidy.score_high[curve] == pytest.approx(100 * high)


def test_errors_beat_chance_from_below(made):
    tidy, *_ = made
    depth = tidy[tidy.unit == "m"].iloc[0]
    assert depth.chance == 1.6 and depth.score_high < 1.6 and depth.above_chance
    assert tidy[tidy.chance.isna()].above_chance.isna().all()


def test_a_score_at_chance_is_not_called_above_it(made, tmp_path):
    _, _, samples, scores = made
    curve = next(c for c in scores.curve if c.startswith("capitals"))
    samples = samples.copy()
    samples.loc[samples.curve == curve, "reference.correct"] = [
        float(k % 4 == 0) for k in range(sum(samples.curve == curve))
    ]
    scores.to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    samples.to_parquet(tmp_path / "outcomes.parquet")
    tidy, *_ = importlib.import_module("tables.models").make(tmp_path / "scores.tsv", tmp_path / "outcomes.parquet")
    row = tidy.set_index("curve").loc[curve]
    assert row.chance == 25 and not row.above_chance


def test_the_rate_of_samples_that_do_not_count_stands_beside_the_score(made, tmp_path):
    tidy, printed, samples, scores = made
    assert tidy.contrast.isna().all() and "contrast" not in printed
    curve = next(c for c in scores.curve if c.startswith("capitals"))
    own, samples = samples.curve == curve, samples.copy()
    for name in ("", "reference."):
        samples.loc[own, f"{name}counted"] = [float(k % 2) for k in range(own.sum())]
        samples.loc[own, f"{name}correct"] = [float(k % 2 or k % 6 == 0) for k in range(own.sum())]
    samples.loc[own, "task"] = "refusal"
    scores.to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    samples.to_parquet(tmp_path / "outcomes.parquet")
    tidy, printed, _ = importlib.import_module("tables.models").make(
        tmp_path / "scores.tsv", tmp_path / "outcomes.parquet"
    )
    row = tidy.set_index("curve").loc[curve]
    low, high = statistics.wilson(10, 30)  # every third of the 30 that do not count
    assert row.contrast == pytest.approx(100 / 3)
    assert (row.contrast_low, row.contrast_high) == pytest.approx((100 * low, 100 * high))
    assert row.score_low == pytest.approx(100 * statistics.wilson(30, 30)[0]), "the interval of those that count"
    assert tidy.contrast.notna().sum() == 1 and "contrast" in printed
