"""What does the drawing show? Emoji and drawn stamps of nine classes, for a head that saw photos alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.labelled import CLASSES, FOLDERS, alternate
from lamofc.datasets.stamps import ROOT, groups, load, over, split, stamps_in
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Noto colour emoji and drawn Tux Paint stamps on white, 224x224; nine of the ten classes of the photos"
LICENCE = "GPL-2.0-only AND OFL-1.1"  # stamps, font
OPTIONS = {"per_class": 20, "calibration_share": 0.34, "size": 224, "background": [255, 255, 255]}

EMOJI = {
    "mammal": "🐒🦍🦧🐕🐩🦮🦊🦝🐈🐅🐆🐎🦓🦌🦬🐂🐃🐄🐖🐗🐏🐑🐐🐪🐫🦙🦒🐘🦣🦏🦛🐁🐀🐇🐿🦫🦔🦇🦥🦦🦨🦘🦡🐨🐼🐻🦁",
    "bird": "🐓🐔🐣🐤🐥🐦🐧🕊🦅🦆🦢🦉🦤🦩🦚🦜🦃",
    "insect": "🐌🦋🐛🐜🐝🪲🐞🦗🪳🕷🦂🦟🪰🪱",
    "sea animal": "🐟🐠🐡🦈🦐🦞🦀🐙🦑🐚",
    "fruit": "🍇🍈🍉🍊🍋🍌🍍🥭🍎🍏🍐🍑🍒🍓🫐🥝",
    "vegetable": "🍅🍆🥔🥕🌽🌶🫑🥒🥬🥦🧄🧅🍄🎃",
    "flower": "🌸🏵🌹🥀🌺🌻🌼🌷💐💮🪷",
    "vehicle": "🚂🚃🚄🚅🚆🚊🚝🚋🚌🚍🚎🚐🚑🚒🚓🚔🚕🚖🚗🚘🚙🛻🚚🚛🚜🏎🏍🛵🛺🚲🚁✈🛩🚤⛵🚢⛴🛥🎈",
    "clothing": "👕👖🧣🧤🧥🧦👗👘🥻🩱👚👞👟🥾🥿👠👡👢👒🎩🎓🧢🩳👔",
}
FONT, STRIKE = "NotoColorEmoji.ttf", 109  # the one size of bitmaps in the font, pixels


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, per_class: int,
    calibration_share: float, size: int, background: list[int],
) -> None:  # fmt: skip
    """Fields: image (PNG), label (index of the class among the photos' ten), source (stamp or emoji)."""
    root = find_one(packages, ROOT)
    font = ImageFont.truetype(str(find_one(packages, FONT)), STRIKE)
    sides = [_sides(_drawn(root, c), calibration_share, per_class, rng) for c in CLASSES]
    for number, part in enumerate(PARTS):
        for label, path in alternate([side[number] for side in sides]):
            name = f"{CLASSES[label].replace(' ', '-')}-{path.stem}-{len(target.items):03d}"
            stamp = path.suffix == ".png"
            drawing = load(path) if stamp else emoji(unicodedata.lookup(path.stem.replace("_", " ")), font)
            picture = over(drawing, tuple(background)).resize((size, size), Image.Resampling.LANCZOS)
            image = target.png(f"images/{name}.png", np.asarray(picture))
            source = path.relative_to(root).as_posix() if stamp else path.stem
            target.add(part, name, image=image, label=label, source=source)
    target.facts |= {"chance": 1 / len(EMOJI), "classes": list(CLASSES)}


def emoji(character: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """RGBA picture of an emoji, its margins cut off."""
    picture = Image.new("RGBA", (2 * STRIKE, 2 * STRIKE))
    ImageDraw.Draw(picture).text((STRIKE // 4, STRIKE // 4), character, font=font, embedded_color=True)
    return picture.crop(picture.getbbox())


def _drawn(root: Path, name: str) -> list[Path]:
    """Drawn stamps of a class, and a path named after each of its emoji."""
    stamps = [p for p in stamps_in(root, FOLDERS[name]) if "cartoon" in p.parts]
    named = [Path(name, unicodedata.name(c).lower().replace(" ", "_")) for c in EMOJI.get(name, "")]
    return stamps + named if named else []


def _sides(paths: list[Path], share: float, limit: int, rng: np.random.Generator) -> list[list[Path]]:
    sides = split(groups(paths), share, rng)
    kept = [round(limit * share), limit - round(limit * share)]
    return [side[:n] for side, n in zip(sides, kept, strict=True)]
