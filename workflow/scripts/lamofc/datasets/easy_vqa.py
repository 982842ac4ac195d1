"""What shape of what colour? easy-VQA's drawings, 64x64, with captions that its questions give, and Canny edges.

A drawing is taken where its questions tell both the colour and the shape. Of every 24 samples of a part in order, each
pair of colour and shape is one. Test samples are of easy-VQA's test half; equal drawings are taken once.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lamofc.datasets import pictures
from lamofc.datasets.canny import canny
from lamofc.datasets.folder import TRAIN, DatasetFolder
from lamofc.errors import ConfigError, FetchError
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Captions of drawings of one shape, 64x64, and their Canny edges; eight colours, three shapes"
LICENCE = "MIT"
COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
PAIRS = list(itertools.product(range(len(COLOURS)), range(len(SHAPES))))
CAPTIONS = ("a {colour} {shape}", "{colour} {shape}", "one {shape} in {colour}", "the {shape} is {colour}",
            "a {shape} painted {colour}", "this is a {colour} {shape}")  # fmt: skip
OPTIONS = {"low": 50, "high": 150, "calibration": 96, "test": 240}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, low: int, high: int,
    calibration: int, test: int,
) -> None:  # fmt: skip
    """Fields: prompt, image (PNG), colour and shape (indices), and but for train parts control (PNG of edges)."""
    seen: set[bytes] = set()
    halves = {half: _by_pair(_drawings(packages, half, seen), rng) for half in ("test", "train")}
    parts = {"calibration": (halves["train"], calibration), "test": (halves["test"], test)}
    for part, (drawings, count) in parts.items():
        for pair, path in _balanced(drawings, count, part):
            _add(target, part, pair, path, rng, (low, high))
    for pair, paths in halves["train"].items():
        for path in paths:
            _add(target, TRAIN, pair, path, rng, None)
    target.facts |= {"colours": list(COLOURS), "shapes": list(SHAPES), "captions": list(CAPTIONS)}


def edges(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 RGB (height, width, 3) -> uint8 (height, width), 255 where a channel has an edge: yellow on white has none
    in the luma."""
    return np.maximum.reduce([canny(image[..., i], low, high) for i in range(3)])


def facts(questions: Iterable[Sequence]) -> dict[int, set[str]]:
    """(question, answer, number of the drawing) -> words of COLOURS and SHAPES that are true of each drawing."""
    true: dict[int, set[str]] = {}
    for question, answer, number in questions:
        words = re.findall(r"[a-z]+", question.lower())
        named = set(words) & {*COLOURS, *SHAPES}
        denied = bool({"not", "no"} & set(words)) != (answer == "no")
        if answer in ("yes", "no"):
            found = set() if denied else named
        else:
            found = named | {answer}
        true.setdefault(number, set()).update(found)
    return true


def _drawings(packages: Mapping[str, Path], half: str, seen: set[bytes]) -> Iterator[tuple[tuple[int, int], Path]]:
    listed = find_one(packages, f"data/{half}/questions.json")
    for number, words in sorted(facts(json.loads(listed.read_text())).items()):
        colour, shape = (sorted(words & set(known)) for known in (COLOURS, SHAPES))
        if len(colour) > 1 or len(shape) > 1:
            raise FetchError(f"{listed}: drawing {number} is said to be {' and '.join(colour + shape)}")
        path = listed.parent / "images" / f"{number}.png"
        if colour and shape and (pixels := np.asarray(pictures.read(path)).tobytes()) not in seen:
            seen.add(pixels)
            yield (COLOURS.index(colour[0]), SHAPES.index(shape[0])), path


def _by_pair(
    found: Iterable[tuple[tuple[int, int], Path]], rng: np.random.Generator
) -> dict[tuple[int, int], list[Path]]:
    """In random order within each pair."""
    groups: dict[tuple[int, int], list[Path]] = {pair: [] for pair in PAIRS}
    for pair, path in found:
        groups[pair].append(path)
    return {pair: [paths[i] for i in rng.permutation(len(paths))] for pair, paths in groups.items()}


def _balanced(
    drawings: dict[tuple[int, int], list[Path]], count: int, part: str
) -> Iterator[tuple[tuple[int, int], Path]]:
    """Takes drawings away, one of each pair in turn; neither colours nor shapes come in runs."""
    order = [(n % len(COLOURS), (n + n // len(PAIRS)) % len(SHAPES)) for n in range(count)]
    for pair in order:
        if not drawings[pair]:
            raise ConfigError(f"easy-VQA: too few drawings of each pair for {count} samples of part {part}")
        yield pair, drawings[pair].pop()


def _add(
    target: DatasetFolder, part: str, pair: tuple[int, int], path: Path, rng: np.random.Generator,
    thresholds: tuple[int, int] | None,
) -> None:  # fmt: skip
    colour, shape = pair
    name = f"{path.parents[1].name}-{int(path.stem):04d}"
    pixels = np.asarray(pictures.read(path))
    fields = {"image": target.png(f"images/{name}.png", pixels), "colour": colour, "shape": shape}
    if thresholds:
        fields["control"] = target.png(f"control/{name}.png", edges(pixels, *thresholds))
    prompt = CAPTIONS[rng.integers(len(CAPTIONS))].format(colour=COLOURS[colour], shape=SHAPES[shape])
    target.add(part, name, prompt=prompt, **fields)
