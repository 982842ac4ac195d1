"""Dependent (trellis-coded) quantisation in tailor's place of rounding, offline: rate at equal damage through the tail.

    python benchmarks/trellis.py CURVE [--samples 24] [--results results]

Two quantisers share a grid of a step: even multiples, and odd ones with zero. A trellis along the components of each
vector says which one is in turn, by the parity of what was chosen before (4 states as in H.266, 8 as in JPEG 2000),
and the encoder looks for the cheapest path; quiet components are rounded. Rates are ideal code lengths under tailor's
own contexts, with the probabilities of 0, 1 and 2 under each table and quantiser counted on calibration samples;
rounding gets the same. Needs what benchmarks/ablation.py needs.
"""

from __future__ import annotations

import argparse
import time
from functools import cache
from pathlib import Path

import numpy as np
from ablation import RESAMPLES, ROOT, Bench, difference

from lamofc.codecs import tailor
from lamofc.codecs.tailor_profile import components, restore
from lamofc.codecs.tailor_stream import Coder
from lamofc.entropy import bank, coefficients
from lamofc.interfaces import Sample
from lamofc.transforms import vectors

STEPS = (0.4, 0.8, 1.6, 3.2)
FINER = 0.566  # the trellis's grid over the step of rounding: equal error of loud components
TRELLISES = {  # state -> next state after an even and an odd index; quantiser of each state
    4: (((0, 2), (2, 0), (1, 3), (3, 1)), (0, 0, 1, 1)),
    8: (((0, 1), (3, 2), (5, 4), (6, 7), (1, 0), (2, 3), (4, 5), (7, 6)), (0, 1, 0, 1, 0, 1, 0, 1)),
}
REACH = 1023  # largest index with a price of its own
COUNTED = 3
PRIOR = 50.0


class Prices:
    """Bits of |index| 0 .. REACH under each table: of rounding (0), even (1) and odd (2) multiples with zero."""

    def __init__(self) -> None:
        sigma = bank.sigma(np.arange(bank.MAX_INDEX + 1))[:, None]
        edges = np.arange(REACH + 1.0)
        ends = [edges + 0.5, 2 * edges + 1, np.where(edges == 0, 0.5, 2 * edges)]
        tails = [np.concatenate([np.ones_like(sigma), np.exp(-e * np.sqrt(2) / sigma)], 1) for e in ends]
        self.model = np.stack([np.maximum(-np.diff(t, axis=1), 2.0**-40) for t in tails])
        self.counts = np.zeros((*self.model.shape[:2], COUNTED + 1))
        self.bits = self._bits()

    def count(self, kind: np.ndarray, tables: np.ndarray, index: np.ndarray) -> None:
        np.add.at(self.counts, (kind, tables, np.minimum(np.abs(index), COUNTED)), 1)

    def learn(self) -> None:
        self.bits = self._bits()

    def _bits(self) -> np.ndarray:
        share = np.concatenate([self.model[..., :COUNTED], self.model[..., COUNTED:].sum(-1, keepdims=True)], -1)
        counted = self.counts + PRIOR * share
        counted /= counted.sum(-1, keepdims=True)
        both = self.model * (counted[..., -1:] / share[..., -1:])
        both[..., :COUNTED] = counted[..., :COUNTED]
        both[..., 1:] /= 2  # the sign
        return -np.log2(both)

    def of(self, kind: np.ndarray | int, tables: np.ndarray, index: np.ndarray) -> np.ndarray:
        return self.bits[kind, tables, np.minimum(np.abs(index), REACH)]


@cache
def predecessors(states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per state its two (previous state), (parity), and the quantiser of each previous state. (states, 2) each."""
    after, quantiser = TRELLISES[states]
    pairs = [[(s, p) for s in range(states) for p in (0, 1) if after[s][p] == t] for t in range(states)]
    before, parity = np.moveaxis(np.array(pairs), 2, 0)
    return before, parity, np.array(quantiser)[before]


def path(scaled: np.ndarray, tables: np.ndarray, prices: Prices, states: int, weight: float) -> tuple[np.ndarray, ...]:
    """Components in steps (rows, n) -> points on the grid, indices, quantisers of each column's cheapest path."""
    before, parity, quantiser = predecessors(states)
    rows, count = scaled.shape
    cost = np.full((states, count), np.inf)
    cost[0] = 0
    points, indices = np.empty((2, rows, 2, 2, count), np.int32)
    choices = np.empty((rows, states, count), bool)
    for r, (x, table) in enumerate(zip(scaled, tables, strict=True)):
        branch, points[r], indices[r] = _branches(x, table, prices, weight)
        both = cost[before] + branch[quantiser, parity]  # (states, 2, n)
        choices[r] = both[:, 1] < both[:, 0]
        cost = np.where(choices[r], both[:, 1], both[:, 0])
    state, column = cost.argmin(0), np.arange(count)
    out = np.empty((3, rows, count), np.int32)
    for r in range(rows)[::-1]:
        chosen = choices[r][state, column].astype(int)
        q, p = quantiser[state, chosen], parity[state, chosen]
        out[:, r] = points[r][q, p, column], indices[r][q, p, column], q
        state = before[state, chosen]
    return tuple(out)


def _branches(x: np.ndarray, table: np.ndarray, prices: Prices, weight: float) -> tuple[np.ndarray, ...]:
    """Cost, point and index of the best even and odd index of each quantiser: (quantiser, parity, n)."""
    even, odd = 2 * np.rint(x / 2), 2 * np.floor(x / 2) + 1
    near = np.stack([[even, even + np.where(x < even, -2, 2), 0 * x], [odd, odd + np.where(x < odd, -2, 2), 0 * x]])
    near = near.astype(np.int32)
    index = np.sign(near) * ((np.abs(near) + 1) // 2)
    rate = np.stack([prices.of(kind, table, index[kind - 1]) for kind in (1, 2)])
    cost = (x - near) ** 2 + weight * rate
    best = np.stack([np.where(index & 1 == p, cost, np.inf).argmin(1) for p in (0, 1)], 1)[:, :, None]
    take = [np.take_along_axis(a[:, None], best, 2)[:, :, 0] for a in (cost, near, index)]
    usable = (take[2] & 1) == np.array([0, 1])[None, :, None]
    return np.where(usable, take[0], np.inf), take[1], take[2]


class Offline:
    """tailor's coder with another quantiser and a meter in place of the entropy coder."""

    def __init__(self, coder: Coder, prices: Prices, states: int, weight: float, least: int) -> None:
        self.coder, self.prices, self.states, self.weight, self.least = coder, prices, states, weight, least
        self.layouts: dict[tuple[str, int], coefficients.Layout] = {}

    def run(self, sample: Sample, learn: bool = False) -> tuple[float, Sample]:
        """Bits, and the sample as decoded."""
        centred, out, bits = {}, {}, 0.0
        for spec in self.coder.specs:
            own, found = self.coder.profiles[spec.name], vectors.to_vectors(sample[spec.name], spec)
            frame, foretold = own.at(found.shape[1]), self.coder._foretold(spec, found.shape[1], centred)
            layout = self.layouts.setdefault(
                (spec.name, found.shape[1]), coefficients.Layout([frame.known], frame.near, self.coder.contexts)
            )
            symbols, used = self._symbols(components(found, own, frame, foretold), layout, learn)
            bits += used
            centred[spec.name] = restore(symbols, own, frame, foretold)
            out[spec.name] = vectors.from_vectors(centred[spec.name] + frame.means, spec, sample[spec.name].shape)
        return bits, out

    def _symbols(self, scaled: np.ndarray, layout: coefficients.Layout, learn: bool) -> tuple[np.ndarray, float]:
        """What is decoded, in steps, and its bits: loud rows by the trellis, the others rounded."""
        symbols = np.rint(scaled).astype(np.int32)
        used, tables = _tables(symbols, layout)
        loud = min(used, int((layout.known.mean(1) >= self.least).sum())) if self.states else 0
        where, kind, values = layout.source[:used], np.zeros((used, layout.count), np.int32), symbols.astype(np.float64)
        index = symbols[where]
        if loud:
            points, index[:loud], quantiser = path(
                scaled[where[:loud]] / FINER, _finer(tables[:loud]), self.prices, self.states, self.weight
            )
            values[where[:loud]], kind[:loud] = points * FINER, quantiser + 1
            symbols = np.rint(values).astype(np.int32)
            used = max(used, loud)
            tables = _tables(symbols, layout, used)[1]
        tables = np.concatenate([_finer(tables[:loud]), tables[loud:]])
        if learn:
            self.prices.count(kind, tables, index)
        return values, float(self.prices.of(kind, tables, index).sum()) + np.log2(layout.choices[0])


def _finer(tables: np.ndarray) -> np.ndarray:
    """Tables for the trellis's grid."""
    return np.clip(tables - int(np.rint(bank.PER_OCTAVE * np.log2(FINER))), 0, bank.MAX_INDEX)


def _tables(symbols: np.ndarray, layout: coefficients.Layout, used: int = 0) -> tuple[int, np.ndarray]:
    """Rows in use, `used` at least, and the tables that tailor's contexts choose for them."""
    most = np.maximum(coefficients._used(symbols, layout), used)
    rows = coefficients._Rows(layout, most)
    if not rows.source.size:
        return 0, np.zeros((0, layout.count), np.int16)
    return int(most[0]), coefficients._tables(symbols.take(rows.source, 0), rows, layout)


def measure(bench: Bench, arm: tuple[int, float, int], assets: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Bits and damage (points, samples), and the seconds that coding took per sample."""
    prices, sizes, damage, spent = Prices(), [], [], 0.0
    runs = [Offline(tailor.Codec(step=s, integers=False).coder(bench.specs, assets), prices, *arm) for s in STEPS]
    for one in runs:
        for sample in bench.calibration[:6]:
            one.run(sample, learn=True)
    prices.learn()
    for one in runs:
        start = time.process_time()
        coded = [one.run(s) for s in bench.samples]
        spent += time.process_time() - start
        sizes.append([b for b, _ in coded])
        damage.append(bench.damages([d for _, d in coded]))
    return np.array(sizes), np.array(damage), spent / len(runs) / len(bench.samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    meaning = "states:squared steps of the grid that a bit costs:least bank index of loud rows"
    parser.add_argument("--arms", default="4:0:24,8:0:24,8:0:20,8:0.05:20,8:0.1:16,8:0.1:0", help=meaning)
    options = parser.parse_args()
    bench, rng = Bench(options.curve, options.results, options.samples), np.random.default_rng(0)
    assets = tailor.Codec().fit_with(bench.specs, bench.calibration, bench.sensitivity)
    base = None
    for arm in ["0:0:0", *options.arms.split(",")]:
        states, weight, least = arm.split(":")
        sizes, damage, seconds = measure(bench, (int(states), float(weight), int(least)), assets)
        points = zip(sizes.sum(1) / bench.elements, damage.mean(1), strict=True)
        print(f"{arm}: " + "  ".join(f"{b:.3f} {d:.5f}" for b, d in points) + f"  {1000 * seconds:.0f} ms", flush=True)
        if base is None:
            base = sizes, damage
            continue
        picks = [rng.integers(0, sizes.shape[1], sizes.shape[1]) for _ in range(RESAMPLES)]
        value = difference(base, (sizes, damage), np.arange(sizes.shape[1]))
        ends = np.nanquantile([difference(base, (sizes, damage), p) for p in picks], [0.025, 0.975])
        percent = [100 * np.expm1(v) for v in (value, *ends)]
        print("   rate: {:+.1f} % [{:+.1f}, {:+.1f}]".format(*percent), flush=True)


if __name__ == "__main__":
    main()
