"""The lock file and the environments of the stages name the same versions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

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
        "    if n not in ('__init__', 'dtufc_hyperprior'): __import__(f'lamofc.codecs.{n}')\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
