"""What decoders compute with functions that libraries round their own way: nothing that could show."""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, coefficients
from lamofc.transforms import circular, rope


def test_no_integer_of_a_table_hangs_on_the_last_bits_of_a_library():
    """exp, erf and powers differ by 2^-53 or so between libraries: a thousand times that changes no rounding here."""
    for family in [*bank.FAMILIES, *bank.OFFSETS]:
        for t in range(bank.SIZE):
            _settled(bank.probabilities(t, family) * bank.TOTAL)
    base, low = bank.split(np.arange(bank.MAX_INDEX + 1))
    sizes = np.array([coefficients._mean_size(int(t)) for t in base])
    _settled(coefficients._UNIT * sizes * np.exp2(np.minimum(low, 20)))
    moves = np.arange(-coefficients._REACH, coefficients._REACH) + 0.5
    _settled(2.0 ** (moves / (bank.PER_OCTAVE * coefficients._SLOPE) + coefficients._FRACTION))
    _settled(0.75 ** np.arange(32) * 2**18)
    for t in range(bank.SIZE):
        for tail in (bank._laplace_tail, bank._gauss_tail):
            tails = [tail(k - 0.5, float(bank.sigma(t))) for k in range(1, 1000)]
            assert min(abs(x / bank._TAIL - 1) for x in tails) > 2.0**-32


def _settled(values):
    assert (np.abs(values - np.floor(values) - 0.5) > 2.0**-42 * values + 2.0**-28).all()


def test_steps_have_the_tables_of_their_logarithm():
    steps = np.exp(np.random.default_rng(0).uniform(-13, 7, 500)).tolist()
    for step in [*steps, 1e-6, 0.05, 0.5, 1.0, 64.0, 1e3]:
        assert bank.quarter_octaves(step) == round(4 * np.log2(step))
    tie = 2.0**0.125  # a float's neighbours of half a quarter octave, where a logarithm would have to be exact
    assert [bank.quarter_octaves(np.nextafter(tie, to)) for to in (0, 2)] == [0, 1]


def test_angles_and_frequencies_are_those_of_the_libraries_to_the_last_bit_or_so():
    angles = np.concatenate([np.random.default_rng(0).uniform(-1e6, 1e6, 10000), np.arange(-8, 9) * np.pi / 4])
    cosine, sine = circular.cosine_sine(angles)
    assert np.abs(cosine - np.cos(angles)).max() < 3e-16 and np.abs(sine - np.sin(angles)).max() < 3e-16
    for theta in (1e4, 1e5, 1e6):
        as_models = (1.0 / theta ** (np.arange(32) / 32)).astype(np.float32)
        assert np.array_equal(rope.frequencies(32, theta), as_models)
