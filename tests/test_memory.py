"""Peak memory does not grow with the number of samples."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_ten_times_the_samples_take_the_same_memory():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import memory

    peaks = memory.measure(64, small=True)  # 8 and 84 MB of features
    assert peaks.keys() == set(memory.STAGES)
    assert {stage: p for stage, p in peaks.items() if p[1] > p[0] + 20} == {}
