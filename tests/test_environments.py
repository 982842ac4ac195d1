"""The lock file and the environments of the stages name the same versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
LOCK = dict(
    line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if line and ";" not in line
)


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_pins_equal_the_lock_file(path):
    environment = yaml.safe_load(path.read_text())
    pins = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    for pin in pins:
        name, version = pin.split("==")
        assert LOCK[name] == version, f"{path.name}: {pin}, requirements.lock has {LOCK[name]}"


def test_what_is_asked_for_is_locked_and_python_is_the_same_everywhere():
    asked = [line.split("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines()]
    for name, _, version in (line.partition("==") for line in asked if line):
        locked = LOCK[name.replace("_", "-")]
        assert version in ("", locked), f"requirements.in: {name}=={version}, requirements.lock has {locked}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.12" and "dependencies" not in project
    environments = [yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")]
    assert all("python =3.11" in environment["dependencies"] for environment in environments)


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_conda_can_parse_it(path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge"]
    *packages, pips = environment["dependencies"]
    assert [MatchSpec(p).name.normalized for p in packages] == ["python", "pip"]
    assert all(MatchSpec(p.replace("==", " ==")).version is not None for p in pips["pip"])


def test_every_rule_names_its_environment():
    rules = "\n".join(p.read_text() for p in sorted((ROOT / "workflow/rules").glob("*.smk")))
    for text in re.split(r"\n(?=(?:use )?rule )", rules)[1:]:
        assert text.startswith("use rule") or "conda:" in text, text.splitlines()[0]
    assert set(re.findall(r"envs/(\w+)\.yaml", rules)) == {p.stem for p in (ROOT / "envs").glob("*.yaml")}


def test_numeric_stages_do_without_torch():
    environment = yaml.safe_load((ROOT / "envs/codecs.yaml").read_text())
    pins = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert not any(p.startswith(("torch", "transformers", "compressai")) for p in pins)


def test_numeric_codecs_import_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, pathlib, lamofc.codecs as c, lamofc.stages.code, lamofc.stages.fit\n"
        "names = [p.stem for p in pathlib.Path(c.__file__).parent.glob('*.py')]\n"
        "for n in names:\n"
        "    if not n.startswith(('__init__', 'dtufc_')): __import__(f'lamofc.codecs.{n}')\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
