"""Data sets: disjoint parts, equal bytes again; on tiny packages made here, then the real ones."""

from __future__ import annotations

import gzip
import json
import unicodedata
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from language_packages import SMALL, names, wordnet
from PIL import Image

from lamofc.datasets import BUILDERS, asterisk_speech, build, drawings, labelled, stamps_clutter, stamps_composites
from lamofc.datasets.asterisk_speech import Prompt, is_speech, join
from lamofc.datasets.continuation_choice import passages
from lamofc.datasets.prose import is_plain, paragraphs
from lamofc.datasets.quiz import read_quiz, spelling
from lamofc.datasets.sound import telephone
from lamofc.datasets.stamps import ROOT as STAMPS
from lamofc.datasets.stamps import groups, split
from lamofc.errors import ConfigError, FetchError

ROOT = Path(__file__).parents[1]


def items(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def of_part(folder: Path, part: str) -> list[dict]:
    return [item for item in items(folder) if item["part"] == part]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the description, which names the folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.name != "dataset.json"}  # fmt: skip


WORDS = ["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen"]
WORDS += ["ibis", "jay", "koala", "lynx", "mole", "newt", "owl", "pug"]


@pytest.fixture
def stamps(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    drawn = {f"{folder}/cartoon" for folder in labelled.FOLDERS.values()}
    for folder in sorted({*labelled.FOLDERS.values(), *stamps_composites.FOLDERS, *stamps_clutter.CLUTTER} | drawn):
        for word in WORDS[:5]:
            place = tmp_path / "stamps" / STAMPS / folder
            place.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (120, 130, 4), np.uint8)
            pixels[:, :40, 3], pixels[:, 40:, 3] = 0, 255
            for name in (word, f"{word}_red", f"{word}2", f"{word}_mirror"):
                Image.fromarray(pixels).save(place / f"{name}.png", compress_level=0)
    for name in ("Dark", "Light"):
        Image.fromarray(np.full((150, 160, 3), 40 if name == "Dark" else 200, np.uint8)).save(tmp_path / f"{name}.jpg")
    for name in ("Big", "Big2"):
        noise = rng.integers(0, 256, (90, 90, 3), np.uint8)
        Image.fromarray(noise).resize((720, 720)).save(tmp_path / f"{name}.jpg")
    return tmp_path


@pytest.fixture
def emoji(tmp_path, monkeypatch) -> Path:
    """A font whose every character is a black disc: the real one is ten megabytes."""
    (tmp_path / drawings.FONT).write_bytes(b"font")
    monkeypatch.setattr(drawings.ImageFont, "truetype", lambda path, size: None)
    disc = Image.fromarray(np.dstack([np.zeros((9, 9, 3), np.uint8), np.full((9, 9), 255, np.uint8)]))
    monkeypatch.setattr(drawings, "emoji", lambda character, font: disc)
    return tmp_path


@pytest.fixture
def quiz(tmp_path) -> Path:
    folder = tmp_path / "quiz"
    folder.mkdir()
    lines = [f"Land{chr(65 + i)}:City{chr(65 + i)}" for i in range(20)]
    (folder / "asia").write_text("\n".join([*lines, "Monaco:Monaco", "Georgia:Tbilisi"]))
    (folder / "state").write_text(
        "\n".join([*(f"State{i}|S{i}:Town{i}:x:y" for i in range(12)), "Georgia|GA:Atlanta:x:y"])
    )
    return tmp_path


@pytest.fixture
def book(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for page in range(8):
        text = "".join(f"<p>{' '.join(rng.choice(WORDS, 20))}.</p>" for _ in range(6))
        (tmp_path / f"page{page}.html").write_text(f"<html><body><div class='toc'><p>No.</p></div>{text}</body></html>")
    return tmp_path


@pytest.fixture
def prompts(tmp_path) -> Path:
    """Prompts whose 'sound' is a raw G.722 byte string: any bytes decode to something, 2 samples a byte."""
    rng = np.random.default_rng(0)
    lines = ["; comment"]
    for i in range(24):
        place = tmp_path / "sounds" / asterisk_speech.SPEAKER / ("sub" if i % 2 else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"p{i}.g722").write_bytes(rng.integers(0, 256, 8000, np.uint8).tobytes())
        name = f"sub/p{i}" if i % 2 else f"p{i}"
        lines.append(f"{name}: say {WORDS[i % 16]} and {WORDS[i // 2]}.")
    lines += ["p0b: [beep]", "nofile: not there at all"]
    (tmp_path / "core-sounds-en.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return tmp_path


LABELLED = {"crop_side": [60, 120], "calibration_backgrounds": ["Dark"], "test_backgrounds": ["Light"]}
ROOMS = {"calibration": 2, "test": 2, "calibration_textures": ["Big"], "test_textures": ["Big2"]}
COMPOSITES = {"size": 56, "crop_side": [60, 120], "calibration": 10, "test": 12,
              "calibration_backgrounds": ["Dark"], "test_backgrounds": ["Light"]}  # fmt: skip


def test_photos_and_clutter_share_their_objects_and_keep_the_parts_apart(stamps, tmp_path):
    options = LABELLED | {"size": 56, "per_class": 10}
    made = {b: build(b, {"s": stamps}, tmp_path / b, options, 3) for b in ("stamps_photos", "stamps_clutter")}
    for part in ("calibration", "test"):
        objects = [{i["source"] for i in of_part(out, part)} for out in made.values()]
        assert objects[0] == objects[1] and objects[0], "a head fitted on photos must not have seen the clutter's"
    for out in made.values():
        assert len({i["label"] for i in items(out)}) == 10
        assert not any({"mirror", "cartoon"} & {*Path(i["source"]).parts} for i in items(out))
        assert set(Counter(i["label"] for i in of_part(out, "test")[:20]).values()) == {2}, "any prefix is balanced"
        stems = [{(i["label"], Path(i["source"]).stem.rstrip("2").removesuffix("_red")) for i in of_part(out, part)}
                 for part in ("calibration", "test")]  # fmt: skip
        assert not stems[0] & stems[1], "variants of one object on both sides"
        things = [{c for i in of_part(out, part) for c in i.get("clutter", [])} for part in ("calibration", "test")]
        assert not things[0] & things[1]


def test_drawings_are_drawn_and_lack_one_class(stamps, emoji, tmp_path):
    out = build("drawings", {"s": stamps}, tmp_path / "out", {"size": 28, "per_class": 12}, 3)
    found = items(out)
    assert {i["label"] for i in found} == {k for k, c in enumerate(labelled.CLASSES) if c != "coin"}
    assert all("cartoon" in i["source"] or "/" not in i["source"] for i in found)
    assert any("cartoon" in i["source"] for i in found) and any("/" not in i["source"] for i in found)


def test_every_emoji_is_in_one_class_and_has_a_name():
    characters = "".join(drawings.EMOJI.values())
    assert len(set(characters)) == len(characters) and all(unicodedata.name(c) for c in characters)


def test_image_folder_is_a_set_by_its_options_alone(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for k in range(4):
            pixels = np.full((20, 30, 3), 100 * number + k, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{k}.png")
    out = build("image_folder", {}, tmp_path / "out", {"folder": str(tmp_path / "images"), "size": 8}, 1)
    assert [i["label"] for i in of_part(out, "test")] == [0, 1, 0, 1]
    assert not {i["source"] for i in of_part(out, "calibration")} & {i["source"] for i in of_part(out, "test")}
    for item in items(out):
        assert np.all(np.asarray(Image.open(out / item["image"])) // 100 == item["label"])
    with pytest.raises(ConfigError, match="is no folder"):
        build("image_folder", {}, tmp_path / "none", {"folder": str(tmp_path / "nowhere")})


def test_stamps_composites(stamps, tmp_path):
    out = build("stamps_composites", {"s": stamps}, tmp_path / "out", COMPOSITES, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test")}
    assert [len(v) for v in parts.values()] == [10, 12]
    for key in ("background", "source"):
        assert not {i[key] for i in parts["calibration"]} & {i[key] for i in parts["test"]}
    for item, ground in ((parts["calibration"][0], 40), (parts["test"][0], 200)):
        image, mask = (np.asarray(Image.open(out / item[key])) for key in ("image", "mask"))
        assert image.shape == (56, 56, 3) and mask.shape == (56, 56)
        assert 0.05 < (mask > 127).mean() < 0.6
        assert np.abs(image[mask == 0].astype(int) - ground).max() <= 2, "outside the mask only background"
    assert json.loads((out / "dataset.json").read_text())["chance"] == pytest.approx(
        np.mean([(np.asarray(Image.open(out / i["mask"])) > 127).mean() for i in parts["test"]])
    )


def test_capitals_choice(quiz, tmp_path):
    options = {"calibration": 8, "train": 8, "lists": ["asia", "state"], "examples": 2}
    out = build("capitals_choice", {"q": quiz}, tmp_path / "out", options, 3)
    pool = {i["place"] for i in of_part(out, "calibration")}
    assert len(pool) == 8 and len(of_part(out, "test")) == 16
    asked = [i for i in items(out) if "place" in i]
    assert not any(i["place"] in ("Monaco", "Georgia") for i in asked), "given away, or two places of one name"
    train = {i["place"] for i in asked if i["part"] == "train"}
    for item in asked:
        right = item["options"][item["answer"]]
        assert right[-1] == item["place"][-1] and len(set(item["options"])) == 4 and right.startswith(" ")
        *shown, question = item["prompt"].split("\n")
        places = {line.split(" is ")[0].removeprefix("The capital of ") for line in shown}
        assert len(places) == 2 and places <= (train if item["part"] == "train" else pool) - {item["place"]}
        assert question == f"The capital of {item['place']} is"
    assert len({i["answer"] for i in asked}) == 4, "a constant answer must not score"


def test_continuation_choice(book, tmp_path):
    options = {"pages": "*.html", "context_words": 6, "continuation_words": 3, "calibration": 6, "test": 12}
    out = build("continuation_choice", {"b": book}, tmp_path / "out", options, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test")}
    assert [len(v) for v in parts.values()] == [6, 12]
    assert not {i["page"] for i in parts["calibration"]} & {i["page"] for i in parts["test"]}
    for item in (i for i in items(out) if "prompt" in i):
        text = " ".join(p for p in paragraphs(book / f"{item['page']}.html"))
        assert item["prompt"] + item["options"][item["answer"]] in text
        assert {len(o.split()) for o in item["options"]} == {3}


@pytest.mark.parametrize("degrade", ["none", "telephone-noise"])
def test_asterisk_speech(prompts, tmp_path, degrade):
    pytest.importorskip("av")
    options = {"seconds": [1.5, 4], "degrade": degrade}
    out = build("asterisk_speech", {"p": prompts}, tmp_path / "out", options, 3)
    said = [s for i in items(out) for s in i["text"].rstrip(".").split(". ")]
    assert len(said) == len(set(said)) and of_part(out, "calibration") and of_part(out, "test")
    for item in items(out):
        with wave.open(str(out / item["audio"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            assert file.getnframes() / 16000 == pytest.approx(item["seconds"], abs=1e-3) and 1.5 <= item["seconds"] <= 4


def test_prompts_one_by_one_keep_what_is_held_out_of_training(prompts, tmp_path):
    pytest.importorskip("av")
    out = build("asterisk_prompts", {"p": prompts}, tmp_path / "out", PROMPTS | {"times": 3}, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test", "train")}
    said = {part: {i["said"] for i in found} for part, found in parts.items()}
    assert [len(said[p]) for p in parts] == [2, 3, 19] and len(set.union(*said.values())) == 24
    words = {w for text in said["train"] for w in text.split()}
    assert all(words.issuperset(i["said"].split()) and i["text"] == i["said"] for i in parts["test"])
    first, second, third = parts["train"][:3]
    assert first["audio"] == second["audio"] == third["audio"] and first["speed"] == 100
    assert {i["speed"] for i in parts["train"]} > {100}
    assert {i["snr_db"] is None for i in parts["train"]} == {True, False}


def test_what_a_prompt_says():
    from lamofc.datasets.asterisk_prompts import plain, said

    assert said("Press 7, to undelete... this-message!") == "press seven to undelete this message"
    assert plain("press seven") and plain("a message i have")
    assert not plain("dial 500") and not plain("letter k")


def test_recordings_of_people(tmp_path):
    pytest.importorskip("av")
    from lamofc.datasets.folder import DatasetFolder

    for name, texts in {"cards": ["ten of clubs"], "librivox": ["he was", "not an ill"]}.items():
        maker = DatasetFolder(tmp_path / name)
        for n in range(len(texts)):
            maker.wav(f"{n:03d}.wav", np.sin(np.arange(16000) * (n + 1) / 9 * (np.arange(16000) > 8000)) * 900)
        lines = [f"<s> {text}  </s> ({n:03d})\n" for n, text in enumerate(texts)]
        file = tmp_path / name / ("transcription" if name == "librivox" else "cards.transcription")
        file.write_text("".join(lines))
    out = build("pocketsphinx_speech", {"p": tmp_path}, tmp_path / "out", {"start": "You"}, 3)
    assert [i["text"] for i in of_part(out, "calibration")] == ["ten of clubs"]
    test = of_part(out, "test")
    assert [i["said"] for i in test] == ["he was", "not an ill"] and test[0]["start"] == "You"
    assert all(0.6 < i["seconds"] < 0.8 for i in test), "silence is cut"
    (tmp_path / "cards/cards.transcription").write_text("ten of clubs (000)\n")
    with pytest.raises(ConfigError, match=r"cards\.transcription, line 1"):
        build("pocketsphinx_speech", {"p": tmp_path}, tmp_path / "wrong", {}, 3)


PROMPTS = {"held": {"calibration": 2, "test": 3}}
ELSEWHERE = {
    "pocketsphinx_speech",
    "synthesised_speech",
    "easy_vqa",
    "imagenet",
    "ade20k",
    "nyuv2",
    "coco_canny",
    "hub_choice",
    "gsm8k",
    "librispeech",
    "voicebench",
    "typed_text",
}  # builders of published sets and of files on this machine have tests of their own


def test_every_builder_gives_the_same_bytes_again_and_other_bytes_for_another_seed(
    stamps, emoji, quiz, book, prompts, tmp_path
):
    pytest.importorskip("av")
    small = {
        "stamps_photos": LABELLED | {"size": 28, "per_class": 4},
        "stamps_clutter": LABELLED | {"size": 28, "per_class": 4},
        "drawings": {"size": 28, "per_class": 4},
        "rendered_rooms": ROOMS | {"size": 14},
        "image_folder": {"folder": str(tmp_path / "stamps" / STAMPS / "plants"), "size": 14, "per_class": 6},
        "stamps_composites": COMPOSITES,
        "capitals_choice": {"calibration": 8, "train": 8, "lists": ["asia", "state"], "examples": 2},
        "continuation_choice": {
            "pages": "page*.html",
            "context_words": 6,
            "continuation_words": 3,
            "calibration": 6,
            "test": 12,
        },
        "asterisk_speech": {"seconds": [1.5, 4], "degrade": "telephone-noise"},
        "asterisk_prompts": PROMPTS,
        **SMALL,
    }
    names(wordnet(tmp_path))
    assert set(small) | ELSEWHERE == set(BUILDERS)
    for builder, options in small.items():
        made = [contents(build(builder, {"all": tmp_path}, tmp_path / f"made/{builder}-{n}", options, seed))
                for n, seed in enumerate((5, 5, 6))]  # fmt: skip
        assert made[0] == made[1], builder
        assert made[0] != made[2], builder


def test_errors_leave_nothing_behind(quiz, tmp_path):
    out = tmp_path / "data/out"
    with pytest.raises(ConfigError, match="mnist"):
        build("mnist", {}, out)
    with pytest.raises(ConfigError, match="colour"):
        build("capitals_choice", {"q": quiz}, out, {"colour": 1})
    with pytest.raises(ConfigError, match=r"not more than 99 \+ 55"):
        build("capitals_choice", {"q": quiz}, out, {"calibration": 99, "lists": ["asia"]})
    with pytest.raises(FetchError, match="no file"):
        build("capitals_choice", {"q": quiz}, out, {"lists": ["africa"]})
    assert not out.parent.exists() or not list(out.parent.iterdir())


@pytest.mark.parametrize(("notation", "plain"), [
    ("Cal{if{ornia}}|CA", "California"), ("Bogot['a|a'|a]", "Bogota"), ("Rom[e|a]", "Rome"), ("Bra[z|s]il", "Brazil"),
    ("Mo[z|,c|c,|c]ambique", "Mozambique"),
    ("{DR |Democratic Republic of the }Congo", "Democratic Republic of the Congo"),
    ("P{'}yongyang", "Pyongyang"), ("{{People's }Republic of }China", "People's Republic of China"),
    ("Port[-| ]au[-| ]Prince", "Port-au-Prince"), ("C[^o|o^|o]te d'Ivoire", "Cote d'Ivoire"), ("Sana'a", "Sana'a"),
])  # fmt: skip
def test_quiz_spellings(notation, plain):
    assert spelling(notation) == plain


def test_quiz_lines_go_on_after_a_backslash(tmp_path):
    (tmp_path / "q").write_text("a:[b|x:y]:\\\nc\n\nd:e\n")
    assert read_quiz(tmp_path / "q") == [["a", "b", "c"], ["d", "e"]]


def test_variants_of_an_object_form_a_group():
    names = (
        "pig pig_golden pig_golden2 lettuce redlettuce t_shirt t_sock blue_fedora green_fedora stop stoplight_01_red"
    )
    found = groups([Path(f"stamps/x/{n}.png") for n in names.split()])
    assert sorted(sorted(p.stem for p in g) for g in found) == sorted([
        ["pig", "pig_golden", "pig_golden2"], ["lettuce", "redlettuce"], ["t_shirt"], ["t_sock"],
        ["blue_fedora", "green_fedora"], ["stop", "stoplight_01_red"],
    ])  # fmt: skip


def test_numbered_stamps_of_a_folder_form_a_group():
    found = groups([Path(f"money/{land}/coins/{n}.png") for land in ("euro", "canadian") for n in ("001", "002penny")])
    assert sorted(len(g) for g in found) == [2, 2]


def test_groups_are_dealt_whole():
    members = [[Path(f"{g}-{i}") for i in range(size)] for g, size in enumerate([5, 3, 3, 2, 2, 1, 1, 1])]
    a, b = split(members, 0.5, np.random.default_rng(1))
    assert len(a) + len(b) == 18 and abs(len(a) - len(b)) <= 2
    assert not {p.name[0] for p in a} & {p.name[0] for p in b}


def test_prose_skips_code_lists_and_notes(tmp_path):
    (tmp_path / "p.html").write_text(
        "<div class='para'>One <b>two</b><br/>three\u2019s.</div><pre>code</pre>"
        "<div class='itemizedlist'><p>list</p></div>"
        "<div class='note'><div class='para'>note</div></div><p>Four &amp; five.</p>"
    )
    assert paragraphs(tmp_path / "p.html") == ["One two three's.", "Four & five."]


@pytest.mark.parametrize(("sentence", "plain"), [
    ("It's a well-known (if old) thing, said \"he\".", True), ("Use kern.info here", False),
    ("Open /etc/passwd now", False), ("Version 12 came", False), ("café au lait", False),
])  # fmt: skip
def test_plain_words(sentence, plain):
    assert is_plain(sentence.split()) is plain


def test_passages_are_cut_inside_a_sentence(tmp_path):
    (tmp_path / "p.html").write_text("<p>Short one. This is a longer sentence that goes on.</p>")
    rng = np.random.default_rng(0)
    assert [words for _, words in passages([tmp_path / "p.html"], 4, 3, rng)] == [
        ["This", "is", "a", "longer", "sentence", "that", "goes"]
    ]


@pytest.mark.parametrize(("text", "wanted"), [
    ("Please press 1 now.", True), ("one", False), ("[beep]", False), ("1 2 3", False), ("press * now", False),
    ("Dots ... open", False),
])  # fmt: skip
def test_speech_texts(text, wanted):
    assert is_speech(text, 2) is wanted


def test_prompts_are_joined_within_limits_and_used_once():
    rng = np.random.default_rng(0)
    made = [Prompt(f"p{i}", np.ones(int(rng.uniform(0.5, 7) * 16000), np.int16)) for i in range(40)]
    utterances = join(made, [5, 9], 0.3)
    assert all(5 <= len(u.sound) / 16000 <= 9.001 for u in utterances)
    used = [t for u in utterances for t in u.text.split()]
    assert len(used) == len(set(used)) and len(used) > 30


def test_telephone_noise_has_the_ratio_and_band_it_says():
    rng = np.random.default_rng(0)
    tone = np.rint(8000 * np.sin(2 * np.pi * 1000 / 16000 * np.arange(64000))).astype(np.int16)
    clean, noisy = telephone(tone, 90, rng).astype(float), telephone(tone, 10, rng).astype(float)
    assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(10, abs=0.5)
    spectrum = np.abs(np.fft.rfft(noisy)) ** 2
    hertz = np.fft.rfftfreq(len(noisy), 1 / 16000)
    assert spectrum[(hertz < 150) | (hertz > 5000)].sum() < 1e-3 * spectrum.sum()


def test_configured_licences_are_those_of_the_builders():
    from importlib import import_module

    packages = yaml.safe_load((ROOT / "config/packages.yaml").read_text())
    for name, row in yaml.safe_load((ROOT / "config/datasets.yaml").read_text()).items():
        module = import_module(f"lamofc.datasets.{row['builder']}")
        assert row["licence"] == module.LICENCE, name
        assert set(row["packages"]) <= set(packages) and set(row.get("options", {})) <= set(module.OPTIONS), name
        assert all(packages[p]["licence"] in row["licence"] for p in row["packages"]), name


@pytest.mark.resources
@pytest.mark.parametrize("name", sorted(yaml.safe_load((ROOT / "config/datasets.yaml").read_text())))
def test_built_data_sets_are_whole_and_disjoint(name):
    folder = ROOT / "resources/data" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there: build it first")
    found = items(folder)
    assert len({i["id"] for i in found}) == len(found)
    assert all((folder / i[key]).is_file() for i in found for key in ("image", "mask", "audio", "depth") if key in i)
    for key in ("source", "background", "place", "page", "text"):
        sides = [{i[key] for i in of_part(folder, part) if key in i} for part in ("calibration", "test")]
        assert not sides[0] & sides[1] - {"plain"}, key  # white is nobody's photograph
