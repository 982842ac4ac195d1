"""Rate control: the knob that meets a target, and that its neighbour on the grid would not."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lamofc import codecs, rate_control
from lamofc.errors import ConfigError
from lamofc.interfaces import Example, TensorSpec
from lamofc.stages import target_score

SPECS = [TensorSpec("a", "tokens", "float32", (None, 16)), TensorSpec("b", "pooled", "float32", (48,))]
ENTRY = {"codec": "tailor"}


def sample(seed):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.standard_normal(16))
    return {"a": (rng.standard_normal((60, 16)) * scale).astype("f4"), "b": rng.standard_normal(48).astype("f4")}


@pytest.fixture(scope="module")
def held():
    with threadpool_limits(1):
        return codecs.fit(ENTRY, SPECS, [sample(s) for s in range(8)])


@pytest.mark.parametrize("edge", [-700, -3, 0, 1, 450])
def test_the_first_position_below_is_found_in_few_trials(edge):
    tried = []

    def value(k):
        tried.append(k)
        return 2.0 ** (-(k - edge) / 100) * (1.01 if k < edge else 0.99)

    assert rate_control.first_below(value, 1.0) == edge
    assert len(tried) == len(set(tried)) <= 20


def test_targets_beyond_the_grid():
    assert rate_control.first_below(lambda k: 1.0, 2.0) == rate_control.LOWEST
    assert rate_control.first_below(lambda k: 3.0, 2.0) is None


@pytest.mark.parametrize("target", [0.8, 2.5, 6.0])
def test_a_rate_is_met_and_nearly_used_up(held, target):
    samples = [sample(s) for s in (50, 51)]
    step = rate_control.for_rate(ENTRY, SPECS, held, samples, target)
    rate = [
        8 * rate_control._bytes(codecs.coder(rate_control.at(ENTRY, s), SPECS, held), SPECS, samples) / 2016
        for s in (step, step * 0.97)
    ]
    assert rate[0] <= target < rate[1] and rate[0] > 0.97 * target
    assert step == rate_control.for_rate(ENTRY, SPECS, held, samples, target)


def test_a_distortion_is_met_and_nearly_used_up(held):
    samples = [sample(s) for s in (50, 51)]
    step = rate_control.for_distortion(ENTRY, SPECS, held, samples, 0.02)
    error = [
        rate_control._error(codecs.coder(rate_control.at(ENTRY, s), SPECS, held), SPECS, samples)
        for s in (step, step * 1.05)
    ]
    assert 0.9 * 0.02 < error[0] <= 0.02 < error[1]


def test_what_cannot_be_is_an_error(held):
    with pytest.raises(ConfigError, match="out of reach, the coarsest step still takes more"):
        rate_control.for_rate(ENTRY, SPECS, held, [sample(0)], 1e-4)
    with pytest.raises(ConfigError, match="knob dtype is no continuous number"):
        rate_control.for_rate({"codec": "cast"}, SPECS, {}, [sample(0)], 4.0)


def test_the_fallback_takes_the_same_knob():
    entry = {"codec": "kvtc", "fallback": {"codec": "uq-ec"}}
    assert rate_control.at(entry, 0.3)["fallback"]["parameters"] == {"step": 0.3}


class Readout:
    """A linear readout of the mean token, whose sign is the class."""

    specs = SPECS
    weights = np.random.default_rng(9).standard_normal(16)

    def tail(self, features, side):
        return [float(f["a"].mean(0) @ self.weights) for f in features]


class Sign:
    metric, unit, higher_is_better = "accuracy", "%", True

    def outcome(self, output, truth):
        return {"correct": float((output > 0) == truth)}

    def score(self, outcomes):
        return 100 * outcomes["correct"].mean(-1)


@pytest.mark.parametrize("share", [1.0, 0.9, 0.6])
def test_the_coarsest_step_that_keeps_a_share_of_the_score(held, share):
    samples = [sample(s) for s in range(20, 60)]
    examples = [Example(str(n), {}, {}, o > 0) for n, o in enumerate(Readout().tail(samples, None))]
    found = target_score.keeping(Readout(), Sign(), examples, samples, ENTRY, held, share)
    assert found["reference"] == 100 and found["score"] >= 100 * share
    coarser = codecs.coder(rate_control.at(ENTRY, found["knob"] * 2**0.25), SPECS, held)
    decoded, bits = target_score._through(coarser, samples)
    assert target_score._score(Readout(), Sign(), examples, decoded) < 100 * share and bits < found["bpfp"]


def test_a_share_of_a_score_that_falls_as_it_gets_better():
    depth, words = Sign(), Sign()
    depth.higher_is_better, depth.unit = False, "m"
    words.higher_is_better = False
    assert target_score.kept(depth, 1.0, 0.99, 0.99) and not target_score.kept(depth, 1.02, 0.99, 0.99)
    assert target_score.kept(words, 14.5, 10, 0.95) and not target_score.kept(words, 14.6, 10, 0.95)


def test_a_score_that_nothing_keeps():
    assert rate_control.coarsest(lambda knob: False) is None
    assert rate_control.coarsest(lambda knob: True) == 256
    assert rate_control.coarsest(lambda knob: knob <= 0.013) == rate_control.knob(-26 * 32)
    assert rate_control.coarsest(lambda knob: knob <= 6) == rate_control.knob(10 * 32)
