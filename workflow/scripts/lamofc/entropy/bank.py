"""Static tables of the discretised Laplace and Gaussian family, made once from their scale alone.

Table `t` is for a step-1 midtread quantiser of data with standard deviation 2^((t - 16) / 4): quarter octaves, so that
the nearest table costs at most .006 bit over the right one. Symbols 0 .. 2M stand for -M .. M, symbol 2M + 1 for
all values beyond. Indices above the last table mean the table some octaves below, with the low bits sent raw.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lamofc.entropy.ans import Table

FAMILIES = ("laplace", "gauss")
OFFSETS = {"gauss+1/4": 0.25, "gauss+1/2": 0.5}  # symbol k stands for k + offset: points of shifted lattices
SIZE = 40
ORIGIN = 16  # index of sigma = 1 step
PER_OCTAVE = 4
MAX_INDEX = SIZE - 1 + PER_OCTAVE * 26
TOTAL = 1 << 20
_ESCAPE = 2.0**-14
_TAIL = 2.0**-15


def index(sigma: np.ndarray | float) -> np.ndarray:
    """Standard deviation in steps -> nearest index, 0 .. MAX_INDEX. int32, shape of `sigma`."""
    logs = np.log2(np.maximum(np.asarray(sigma, np.float64), 2.0**-64))
    return np.clip(np.rint(PER_OCTAVE * logs) + ORIGIN, 0, MAX_INDEX).astype(np.int32)


def quarter_octaves(step: float) -> int:
    """4 log2(step) to the nearest integer, found on the integers of the step's fraction: no logarithm may decide it."""
    above, below = (n**8 for n in float(step).as_integer_ratio())
    exponent = above.bit_length() - below.bit_length()
    eighths = exponent if above << max(-exponent, 0) >= below << max(exponent, 0) else exponent - 1
    return (eighths + 1) // 2


def sigma(index: np.ndarray | int) -> np.ndarray:
    """Standard deviation, in steps, that an index stands for."""
    return np.exp2((np.asarray(index) - ORIGIN) / PER_OCTAVE)


def split(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices -> (index of the table, 0 .. SIZE-1; number of raw low bits)."""
    low = np.maximum(0, (indices - SIZE) // PER_OCTAVE + 1)
    return indices - PER_OCTAVE * low, low


@cache
def table(index: int, family: str = "laplace") -> Table:
    """Table 0 .. SIZE-1 of a family."""
    return Table(np.rint(probabilities(index, family) * TOTAL))


@cache
def reach(family: str = "laplace") -> np.ndarray:
    """M of each table: values -M .. M have symbols of their own. (SIZE,) int32."""
    return np.array([(len(probabilities(t, family)) - 2) // 2 for t in range(SIZE)], np.int32)


@cache
def probabilities(index: int, family: str) -> np.ndarray:
    """Probabilities of the symbols before they are rounded to integers."""
    if family in OFFSETS:
        return _shifted(index, OFFSETS[family])
    upper = {"laplace": _laplace_tail, "gauss": _gauss_tail}[family]
    tails = [1.0]  # tails[k] = P(|value| >= k)
    while tails[-1] > _TAIL or len(tails) < 3:
        tails.append(upper(len(tails) - 0.5, float(sigma(index))))
    side = -np.diff(tails)
    inner = np.concatenate([side[:0:-1] / 2, side[:1], side[1:] / 2])
    escape = max(tails[-1], _ESCAPE)
    return np.append(inner * (1 - escape) / inner.sum(), escape)


def _shifted(index: int, offset: float) -> np.ndarray:
    reach = (len(probabilities(index, "gauss")) - 2) // 2
    width = float(sigma(index)) * math.sqrt(2)
    below = np.array([math.erf((k - 0.5 + offset) / width) for k in range(-reach, reach + 2)])
    inner = np.maximum(np.diff(below) / 2, 2.0**-40)
    escape = max(1 - inner.sum(), _ESCAPE)
    return np.append(inner * (1 - escape) / inner.sum(), escape)


def _laplace_tail(x: float, sigma: float) -> float:
    return math.exp(-x * math.sqrt(2) / sigma)


def _gauss_tail(x: float, sigma: float) -> float:
    return math.erfc(x / (sigma * math.sqrt(2)))
