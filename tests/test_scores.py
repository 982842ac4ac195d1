"""Hand-worked numbers: word edits, overlap, divergence, distortion, intervals, sources of a module."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.distortion import Distortion
from lamofc.interfaces import TensorSpec
from lamofc.jsonio import dumps, loads
from lamofc.provenance import sources
from lamofc.statistics import wilson
from lamofc.tasks.asr import edit_distance, normalise
from lamofc.tasks.divergence import divergence
from lamofc.tasks.segmentation import iou


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [
        ("", "", 0),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c", "a x c", 1),
        ("a b c d", "b c d e", 2),
        ("a b", "b a", 2),
    ],
)
def test_word_edits(a, b, edits):
    assert edit_distance(a.split(), b.split()) == edits


def test_normaliser_keeps_letters_digits_and_apostrophes():
    assert normalise("Press 4 - you\u2019re DONE!") == ["press", "4", "you're", "done"]


def test_overlap_of_masks():
    a, b = np.zeros((2, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(4 / 12)
    assert iou(~a & a, ~b & b) == 1.0


def test_divergence_is_zero_for_equal_logits_and_right_for_two_classes():
    assert divergence(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == pytest.approx(0, abs=1e-12)
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert divergence(np.log(q), np.log(p)) == pytest.approx((p * np.log(p / q)).sum())


def test_distortion_weighs_tensors_equally():
    specs = [TensorSpec("a", "tokens", "float32", (None, 2)), TensorSpec("b", "key", "float32", (1, None, 2))]
    meter = Distortion(specs)
    a, b = np.array([[3, 4], [0, 5]], np.float32), np.full((1, 1, 2), 2, np.float32)
    meter.add({"a": a, "b": b}, {"a": a, "b": b * 0.5})
    assert meter.rel_mse() == pytest.approx((0 + 0.25) / 2)
    assert meter.mse() == pytest.approx(2 / 6)  # two values off by one, of six
    assert meter.cosine() == pytest.approx(1.0)


def test_wilson_interval_against_a_textbook_case():
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(10, 10)[1] == 1.0 and wilson(10, 10)[0] > 0.69


def test_json_with_arrays_comes_back():
    value = {"mask": np.array([[True, False, True]]), "logits": np.array([1.5, -2], np.float32), "n": 3}
    back = loads(dumps(value))
    assert back["n"] == 3
    for key in ("mask", "logits"):
        assert back[key].dtype == value[key].dtype and np.array_equal(back[key], value[key])


def test_sources_follow_imports_and_stop_at_the_package():
    files = sources("lamofc.codecs.identity")
    assert "workflow/scripts/lamofc/codecs/per_tensor.py" in files
    assert not any("uq_ec" in f or "numpy" in f for f in files)
