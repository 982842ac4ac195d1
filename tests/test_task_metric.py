"""The sensitivity of a task's own answer: what it measures, where it is known, and who asks for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from lamofc import codecs, models, tasks
from lamofc.config import Plan
from lamofc.errors import ConfigError
from lamofc.stages import sensitivity
from lamofc.tasks import classification, depth, measures
from lamofc.tasks.divergence import divergence

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())
OVERLAYS = [None, "quick", "full", "paper", "predecessor", "hosted", "further-audio"]
ASKS = {"codec": "tailor", "parameters": {"metric": "task"}}


def planned(overlay: str | None, **changes) -> Plan:
    more = yaml.safe_load((ROOT / f"config/{overlay}.yaml").read_text()) if overlay else {}
    return Plan(DEFAULT | more | changes, ROOT)


def test_half_the_squared_distance_is_the_divergence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4, 6)).astype(np.float32)
    moved = logits + rng.normal(0, 0.01, logits.shape).astype(np.float32)
    coordinates = [measures.likelihood(torch.from_numpy(x).double()) for x in (logits, moved)]
    wanted = np.mean([divergence(m, x) for m, x in zip(moved, logits, strict=True)])
    found = float((coordinates[0] - coordinates[1]).square().sum() / 2)
    assert found == pytest.approx(wanted, rel=0.02) and wanted > 0


def test_gradients_are_the_fisher_information():
    """J^T J of the coordinates of one distribution is diag p - p p^T."""
    logits = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(measures.likelihood, logits)
    p = logits.softmax(0)
    torch.testing.assert_close(jacobian.T @ jacobian, p.diag() - p[:, None] * p)


def test_classes_that_a_set_does_not_have_are_no_part_of_its_answer():
    task = classification.Task.__new__(classification.Task)
    task.classes = [0, 2]
    scores = torch.randn(1, 4, requires_grad=True)
    task.measure(scores)[0, 0].backward()
    assert (scores.grad[0, [1, 3]] == 0).all() and (scores.grad[0, [0, 2]] != 0).all()


def test_depth_is_measured_in_its_logarithm():
    task = depth.Task.__new__(depth.Task)
    once, twice = task.measure(torch.full((1, 3, 3), 2.0)), task.measure(torch.full((1, 3, 3), 4.0))
    assert float((once - twice).square().sum()) == pytest.approx(np.log(2) ** 2)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_models_of_curves_whose_task_has_a_measure_have_scores(overlay):
    plan = planned(overlay)
    families = {plan.models[r["model"]]["family"] for c, r in plan.all_curves.items() if plan.has_answer(c)}
    assert [f for f in families if not callable(getattr(models.load(f), "scores", None))] == []


def test_the_arm_runs_only_where_the_answer_is_known():
    plan = planned(None, arms=["default", "full"])
    on = {c for c, a in plan.pairs if a == "tailor-task"}
    assert set(plan.curves) - on == {c for c, r in plan.curves.items() if r["task"] == "drawn_shapes"} != set()
    hosted = planned("hosted", arms=["tailor", "tailor-task"])
    assert hosted.pairs and {a for _, a in hosted.pairs} == {"tailor"}


def test_who_asks_for_which_sensitivity():
    asked = [ASKS, {"codec": "tailor"}, {"codec": "orfc"}, {"codec": "uq-ec"}]
    assert [codecs.sensitive_to(e) for e in asked] == ["answer", "feature", "feature", None]


@pytest.mark.parametrize(("task", "missing"), [(object(), "measure"), (SimpleNamespace(measure=len), "scores")])
def test_a_task_or_model_without_its_part_is_named_with_the_fix(task, missing):
    row = {"curve": "mine.m.block2", "task": "t", "model": "m"}
    with pytest.raises(ConfigError, match=f"curve mine.m.block2: .* has no `{missing}`.*metric: fisher"):
        sensitivity.reader("answer", object(), task, row)


def test_the_task_metric_takes_what_it_is_given():
    """Errors go where the answer does not look, and without a sensitivity all directions count alike."""
    from lamofc.interfaces import TensorSpec

    spec, rng = TensorSpec("x", "tokens", "float32", (None, 6)), np.random.default_rng(0)
    samples = [{"x": rng.standard_normal((50, 6)).astype(np.float32)} for _ in range(4)]
    seen = {"x": np.diag([100.0, 1, 1, 1, 1, 1]).astype(np.float32), "x/start": np.ones(64), "x/end": np.ones(64)}
    codec, errors = codecs.build("tailor", {"metric": "task", "step": 1.0}), {}
    for name, given in (("seen", seen), ("blind", None)):
        coder = codec.coder([spec], codec.fit_with([spec], samples, given))
        decoded = coder.decode(coder.encode(samples[0]), {"x": (50, 6)})
        errors[name] = np.square(decoded["x"] - samples[0]["x"]).mean(0)
    assert errors["seen"][0] < errors["seen"][1:].mean() / 4 and errors["blind"][0] > errors["blind"][1:].mean() / 4


def test_what_nothing_reads_costs_little():
    """Of two tensors one is not read: its errors cost a thousandth of the other's, where it had cost all."""
    arrays = {"read": np.diag([3.0, 1.0]).astype(np.float32) * 1e-6, "not": np.zeros((3, 3), np.float32)}
    sensitivity._charge_unread(arrays, ["read", "not"])
    np.testing.assert_allclose(arrays["not"], 2e-9 * np.eye(3), rtol=1e-5)
    np.testing.assert_allclose(arrays["read"], np.diag([3e-6, 1e-6]), rtol=1e-6)


def test_tasks_without_a_measure_are_those_whose_answer_costs_too_much():
    names = sorted(
        p.stem for p in (ROOT / "workflow/scripts/lamofc/tasks").glob("*.py") if "\nclass Task" in p.read_text()
    )
    assert {n for n in names if not hasattr(tasks.load(n), "measure")} == {"drawn_shapes", "fidelity", "text_to_image"}
