"""A few hundred of the files that tests/fuzz/fuzz_bitstreams.py makes by the hundred thousand."""

import subprocess
import sys
from pathlib import Path

import yaml

SCRIPT = Path(__file__).parent / "fuzz/fuzz_bitstreams.py"


def test_mutated_files_are_refused_or_decode_the_same():
    found = subprocess.run(
        [sys.executable, str(SCRIPT), "--codec", "all", "--files", "25"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    arms = yaml.safe_load((SCRIPT.parents[2] / "config/codecs.yaml").read_text())
    assert {line.split("\t")[0] for line in found.stdout.splitlines()} <= {"codec", *arms}
