"""The configurations that ship are sound, and a wrong one is refused with the place and the value."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from lamofc import codecs, inputs, models
from lamofc.checked import check_arm, read_yaml
from lamofc.config import Plan
from lamofc.errors import ConfigError

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("overlay", ["config", "quick", "full", "further-audio", "paper", "predecessor"])
def test_shipped_configurations_make_a_plan(overlay):
    plan = Plan(DEFAULT | yaml.safe_load((ROOT / f"config/{overlay}.yaml").read_text()), ROOT)
    assert plan.pairs and {c for c, _ in plan.pairs} == set(plan.curves)
    assert all(("identity" in arms) for arms in [{a for c, a in plan.pairs if c == curve} for curve in plan.curves])


def test_the_paper_tier_has_the_papers_curves_and_sources_that_are_pinned():
    plan = Plan(DEFAULT | yaml.safe_load((ROOT / "config/paper.yaml").read_text()), ROOT)
    count = {c: sum(r["category"] == c for r in plan.curves.values()) for c in ("CVU", "CLU", "CAU", "CTTI")}
    assert count == {"CVU": 8, "CLU": 10, "CAU": 5, "CTTI": 2} and all(r["n"] == 100 for r in plan.curves.values())
    assert len({(r["model"], r["dataset"]) for r in plan.curves.values()}) == 21
    assert len({r["scenario"] for r in plan.curves.values()}) == 16
    assert {"dinov2-g", "llama3-8b", "sd3-medium"} <= set(plan.models)
    hub = [a for p in plan.packages.values() for a in p["archives"] if a["source"] == "huggingface"]
    assert hub and all(len(a["revision"]) == 40 or a["pin"] == "record" for a in hub)


def test_arms_run_only_where_their_codec_codes_something():
    plan = Plan(DEFAULT | {"arms": ["default", "full"]}, ROOT)
    kivi = [c for c, a in plan.pairs if a == "kivi"]
    assert kivi and all("smollm2" in c or "audio-lm" in c for c in kivi)
    opq = {c for c, a in plan.pairs if a == "opq" and "sd3" in c}  # codes text embeddings, which one split sends
    assert opq == {"shapes-canny.shapes-sd3.condition"}


def test_a_split_without_kinds_is_told():
    row = {"title": "toy", "kinds": {"early": ["tokens"], "late": ["latent"]}}
    assert models.crossing(row, "late") == {"latent"} and models.crossing({"kinds": ["ssm"]}, "any") == {"ssm"}
    with pytest.raises(ConfigError, match="toy: kinds has no split 'middle'; it has early, late"):
        models.crossing(row, "middle")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": []}, "'codec' was unexpected"),
        ({"arms": ["nosuch"]}, "'nosuch' is neither a tier nor a row"),
        ({"curves": ["nosuch"]}, "'nosuch' is no row"),
        ({"limit": {"test": 0}}, "limit.test"),
        ({"results": "a; rm -rf b"}, "does not match"),
        ({"codecs": "config/nosuch.yaml"}, "no such file"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        _ = Plan(DEFAULT | change, ROOT).pairs


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"codec": "identity", "ladder": ["raw", "raw"]}, "same point twice"),
        ({"codec": "identity", "ladder": ["cooked"]}, "'cooked'"),
        ({"codec": "nosuch", "ladder": [1]}, "no workflow/scripts/lamofc/codecs/nosuch.py"),
        ({"codec": "../identity", "ladder": [1]}, "use lower-case letters"),
        ({"codec": "uq-ec", "parameters": {"stepp": 1}, "ladder": [1.0]}, "unknown key stepp"),
        ({"codec": "uq-ec", "ladder": ["fine"]}, "codec uq-ec: step 'fine' is no float"),
        ({"codec": "tailor", "parameters": {"contexts": 1}, "ladder": [1.0]}, "codec tailor: contexts 1 is no bool"),
    ],
)
def test_wrong_arms_are_refused(arm, message):
    with pytest.raises(ConfigError, match=message):
        check_arm("mine", arm, "config/codecs.yaml")


NAMES = sorted({arm["codec"].replace("_", "-") for arm in read_yaml(ROOT / "config/codecs.yaml").values()})


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_other_types_are_refused(name):
    """The fuzzer's find: a header with 2147483647 in place of a yes took as many sections, and all of the memory."""
    wrong = {"bool": (2147483647, 0, "yes"), "int": (1.5, True, "8"), "float": (True, "0.1", None), "str": (8, None)}
    for field in fields(codecs.load(name)):
        for value in wrong.get(field.type, ()):
            with pytest.raises(ConfigError, match=re.escape(f"{field.name} {value!r} is no {field.type}")):
                codecs.build(name, {field.name: value})
        if field.type not in wrong:
            assert field.type == "tuple[int, int]", f"{name}: {field.name} is of a type that nothing checks"


def test_donors_share_model_and_split_but_not_the_data():
    plan = Plan(DEFAULT, ROOT)
    found = {curve: plan.donor(curve) for curve in plan.curves}
    assert any(found.values())
    for curve, donor in found.items():
        if donor:
            mine, other = plan.curves[curve], plan.curves[donor]
            assert (mine["model"], mine["split"]) == (other["model"], other["split"])
            assert mine["dataset"] != other["dataset"]
    transfers = {a for a, arm in plan.arms.items() if "transfer" in arm}
    assert transfers and {c for c, a in plan.pairs if a in transfers} == {c for c, d in found.items() if d}


@pytest.mark.parametrize(
    "change", [{"transfer": "nosuch"}, {"transfer": "identity"}, {"parameters": {"contexts": False}}]
)
def test_transfer_rows_need_a_fitted_row_of_the_same_codec(change, tmp_path):
    row = {"codec": "tailor", "ladder": [0.4], "transfer": "tailor"} | change
    arms = read_yaml(ROOT / "config/codecs.yaml") | {"mine": row}
    (tmp_path / "codecs.yaml").write_text(yaml.safe_dump(arms))
    with pytest.raises(ConfigError, match="mine: transfer"):
        _ = Plan(DEFAULT | {"codecs": str(tmp_path / "codecs.yaml")}, ROOT).all_arms


def test_a_readout_of_the_readouts_file_takes_its_kind_and_keeps_its_name():
    row = Plan(DEFAULT, ROOT).all_curves["clutter.dinov2-s.block2"]
    assert row["readout"] == "probe" and row["fitted"] == "pictures-probe"


@pytest.mark.parametrize(
    ("task", "message"), [("nosuch", "row .*: task 'nosuch' is unknown"), ("mute", "lacks `modal")]
)
def test_a_task_that_is_not_there_or_does_not_say_what_goes_in_is_refused(task, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lamofc.tasks.mute", SimpleNamespace(Task=type("Task", (), {})))
    header, row = (ROOT / "config/scenarios.tsv").read_text().splitlines()[:2]
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True)) | {"task": task}
    (tmp_path / "rows.tsv").write_text(f"{header}\n" + "\t".join(cells.values()) + "\n")
    with pytest.raises(ConfigError, match=message):
        _ = Plan(DEFAULT | {"scenarios": str(tmp_path / "rows.tsv")}, ROOT).input_pairs


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/scripts/lamofc/tasks").glob("*.py")), ids=lambda p: p.stem)
def test_every_task_says_what_goes_in(path):
    task = getattr(importlib.import_module(f"lamofc.tasks.{path.stem}"), "Task", None)
    assert task is None or task.modality in (None, *inputs.MODALITIES)
