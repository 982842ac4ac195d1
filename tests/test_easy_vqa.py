"""Captioned drawings: what questions tell, colours without luma edges, parts that share nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lamofc.datasets import build, easy_vqa
from lamofc.datasets.easy_vqa import COLOURS, SHAPES, edges, facts
from lamofc.errors import ConfigError, FetchError


def drawing(colour, shape, shift):
    picture = Image.new("RGB", (32, 32), (240, 250 - shift % 20, 245))
    corners = [(8 + shift % 5, 9), (20, 9 + shift % 7), (16, 24)]
    pen = ImageDraw.Draw(picture)
    box = [*corners[0], corners[1][0] + 2, corners[2][1]]
    {"circle": pen.ellipse, "rectangle": pen.rectangle, "triangle": pen.polygon}[shape](
        corners if shape == "triangle" else box, fill={"gray": "#808080"}.get(colour, colour)
    )
    return picture


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("easy-vqa")
    for half, rounds in (("train", 3), ("test", 2)):
        place, questions = folder / "easy_vqa/data" / half, []
        (place / "images").mkdir(parents=True)
        for number in range(24 * rounds):
            colour, shape = COLOURS[number % 8], SHAPES[number // 8 % 3]
            shift = number // 24 + (7 if half == "test" else 0)
            drawing(colour, shape, 3 * shift + number).save(place / "images" / f"{number}.png")
            questions.append([f"what is the {colour} shape?", shape, number])
        (place / "questions.json").write_text(json.dumps(questions))
    return folder


def test_questions_tell_what_is_true():
    asked = [
        ["what is the blue shape?", "rectangle", 0],
        ["what color is the triangle?", "red", 1],
        ["does the image contain a circle?", "yes", 2], ["is there a teal shape?", "no", 2],
        ["does the image not contain a circle?", "no", 3], ["is no gray shape present?", "yes", 3],
    ]  # fmt: skip
    assert facts(asked) == {0: {"blue", "rectangle"}, 1: {"red", "triangle"}, 2: {"circle"}, 3: {"circle"}}


def test_yellow_on_white_has_an_edge():
    image = np.full((20, 20, 3), 255, np.uint8)
    image[5:15, 5:15] = (255, 255, 0)
    lines = edges(image, 50, 150)
    assert set(np.unique(lines)) == {0, 255} and (lines > 0).sum() >= 32 and not lines[8:12, 8:12].any()


def test_parts_are_balanced_and_share_no_drawing(package, tmp_path):
    folder = build("easy_vqa", {"easy-vqa": package}, tmp_path / "d", {"test": 48, "calibration": 24}, seed=3)
    found = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    parts = {part: [i for i in found if i["part"] == part] for part in ("test", "calibration", "train")}
    assert len(parts["test"]) == 48 and len(parts["calibration"]) == 24 and parts["train"]
    for part in ("test", "calibration"):
        for start in range(0, len(parts[part]), 24):
            assert len({(i["colour"], i["shape"]) for i in parts[part][start : start + 24]}) == 24
    pixels = {part: {(folder / i["image"]).read_bytes() for i in own} for part, own in parts.items()}
    assert sum(map(len, pixels.values())) == len(set.union(*pixels.values())) == len(found)
    for item in parts["test"]:
        assert {COLOURS[item["colour"]], SHAPES[item["shape"]]} <= set(item["prompt"].split())
        control = np.asarray(Image.open(folder / item["control"]))
        assert control.shape == (32, 32) and (control > 0).any()
    assert all("control" not in i for i in parts["train"])


def test_contradictions_and_shortage_are_errors(package, tmp_path):
    with pytest.raises(ConfigError, match="too few drawings"):
        build("easy_vqa", {"easy-vqa": package}, tmp_path / "a", {"test": 500}, seed=3)
    listed = tmp_path / "p/easy_vqa/data/test/questions.json"
    listed.parent.mkdir(parents=True)
    listed.write_text(json.dumps([["is there a red shape?", "yes", 0], ["what color is it?", "blue", 0]]))
    with pytest.raises(FetchError, match="drawing 0 is said to be blue and red"):
        list(easy_vqa._drawings({"e": tmp_path / "p"}, "test", set()))
