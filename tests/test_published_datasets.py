"""Published language and audio sets: tiny fixtures in their real file formats and layouts."""

from __future__ import annotations

import gzip
import io
import json
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc.convert import convert
from lamofc.datasets import build, tables
from lamofc.datasets.gsm8k import final
from lamofc.datasets.hub_choice import plain
from lamofc.datasets.questions import select
from lamofc.datasets.sound import read_audio
from lamofc.errors import ConfigError, FetchError
from lamofc.tasks import items

pa = pytest.importorskip("pyarrow")
av = pytest.importorskip("av")


def parquet(path: Path, rows: list[dict]) -> Path:
    from pyarrow import parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def flac(seconds: float, rate: int = 16000, channels: int = 1, pitch: float = 220.0) -> bytes:
    """A sine of half scale as FLAC bytes."""
    wave = (16383 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=rate, layout="mono" if channels == 1 else "stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, channels)[None], "s16", stream.layout.name)
        frame.rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return buffer.getvalue()


def of_part(folder: Path, part: str) -> list[dict]:
    return list(items.of_part(folder, part))


def arc_rows(split: str) -> list[dict]:
    """Two of the real set's oddities: numbers for letters, and three options."""
    rows = []
    for i in range(12):
        labels = ["1", "2", "3", "4"] if i % 4 == 0 else list("ABC") if i % 4 == 1 else list("ABCD")
        texts = [f"{'right' if n == i % 3 else 'wrong'} {split}{i}.{n}" for n in range(len(labels))]
        rows.append({"id": f"{split}_{i}", "question": f"Question {split} {i}?" + " why" * i,
                     "choices": {"text": texts, "label": labels}, "answerKey": labels[i % 3]})  # fmt: skip
    return rows


def make_arc(folder: Path) -> None:
    for split in ("train", "test"):
        parquet(folder / f"ARC-Challenge/{split}-00000-of-00001.parquet", arc_rows(split))


def make_hellaswag(folder: Path) -> None:
    for split in ("train", "validation"):
        rows = [{"ind": i, "activity_label": "Baking", "ctx_a": f"{split} {i} [header] How to bake [title] Heat it.",
                 "ctx_b": "then she", "endings": [f"{'right' if n == i % 4 else 'wrong'} {i}.{n} [step] end"
                                                  for n in range(4)],
                 "label": str(i % 4)} for i in range(12)]  # fmt: skip
        parquet(folder / f"data/{split}-00000-of-00001.parquet", rows)


def make_truthfulqa(folder: Path) -> None:
    rows = [{"question": f"Is it so, {i}?",
             "mc1_targets": {"choices": [f"right {i}", *(f"wrong {i}.{n}" for n in range(2 + i % 3))],
                             "labels": [1] + [0] * (2 + i % 3)}} for i in range(16)]  # fmt: skip
    parquet(folder / "multiple_choice/validation-00000-of-00001.parquet", rows)


def make_winogrande(folder: Path) -> None:
    for split in ("train", "validation"):
        rows = [{"sentence": f"{split} {i}: the trophy did not fit the case as _ was big.", "answer": str(i % 2 + 1),
                 "option1": f"{'wrong' if i % 2 else 'right'} one", "option2": f"{'right' if i % 2 else 'wrong'} two"}
                for i in range(12)]  # fmt: skip
        parquet(folder / f"winogrande_xl/{split}-00000-of-00001.parquet", rows)


SETS = {"arc-challenge": make_arc, "hellaswag": make_hellaswag, "truthfulqa-mc1": make_truthfulqa,
        "winogrande": make_winogrande}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_choice_sets(name, tmp_path):
    SETS[name](tmp_path / "p")
    options = {"set": name, "calibration": 4, "test": 10}
    out = build("hub_choice", {"p": tmp_path / "p"}, tmp_path / "out", options, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test")}
    assert [len(v) for v in parts.values()] == [4, 10]
    assert not {i["question"] for i in parts["calibration"]} & {i["question"] for i in parts["test"]}
    for item in [*parts["calibration"], *parts["test"]]:
        right = [n for n, option in enumerate(item["options"]) if option.startswith("right")]
        assert right == [item["answer"]]
    assert len({i["answer"] for i in parts["test"]}) > 1, "a constant letter must not score"
    again = build("hub_choice", {"p": tmp_path / "p"}, tmp_path / "again", options, 3)
    assert (out / "items.jsonl").read_bytes() == (again / "items.jsonl").read_bytes()


def test_the_chance_level_follows_the_numbers_of_options(tmp_path):
    make_arc(tmp_path / "p")
    out = build("hub_choice", {"p": tmp_path / "p"}, tmp_path / "out", {"calibration": 1, "select": "all"}, 3)
    test = of_part(out, "test")
    facts = json.loads((out / "dataset.json").read_text())
    assert len(test) == 12 and facts["chance"] == pytest.approx((9 / 4 + 3 / 3) / 12)


def test_the_longest_samples_are_chosen_and_come_in_random_order():
    texts = ["a" * n for n in (5, 1, 9, 3, 9, 2)]
    chosen = select(texts, len, 3, "longest", np.random.default_rng(0))
    assert sorted(map(len, chosen)) == [5, 9, 9]
    assert len(select(texts, len, None, "random", np.random.default_rng(0))) == 6
    with pytest.raises(ConfigError, match="7 samples are wanted"):
        select(texts, len, 7, "random", np.random.default_rng(0))
    with pytest.raises(ConfigError, match="shortest"):
        select(texts, len, 3, "shortest", np.random.default_rng(0))


HUB = Path(__file__).parent / "golden/hub"  # written and read back by Hugging Face datasets: tests/remake_hub.py


def stated(name: str) -> dict[str, list[dict]]:
    return json.loads((HUB / name / "rows.json").read_text())


@pytest.mark.parametrize("name", [*SETS, "gsm8k"])
def test_rows_are_those_that_the_datasets_library_gives(name):
    """From its Parquet shards, laid out as on the hub; rows.json is what `datasets.load_dataset` read from them."""
    for split, rows in stated(name).items():
        assert list(tables.rows({"p": HUB / name}, f"{split}-*.parquet")) == rows, split


def test_its_other_formats_give_the_same_rows():
    for pattern in ("lines/train.jsonl", "disk/train/*.arrow"):
        assert list(tables.rows({"p": HUB / "gsm8k"}, pattern, ("question", "answer"))) == stated("gsm8k")["train"]


@pytest.mark.parametrize("name", [*SETS, "gsm8k"])
def test_sets_build_from_files_of_the_datasets_library(name, tmp_path):
    folder, sizes = {"p": HUB / name}, {"calibration": 1, "test": 2}
    if name == "gsm8k":
        out = build("gsm8k", folder, tmp_path / "out", sizes, 3)
        assert {i["answer"] for i in of_part(out, "test")} == {"2000", "3000"}
        return
    out = build("hub_choice", folder, tmp_path / "out", {"set": name} | sizes, 3)
    for item in of_part(out, "test"):
        assert item["options"][item["answer"]].startswith("right")


MEDIA = {
    "imagenet-val": ("imagenet", {"size": 32}, {7 * i for i in range(4)}),
    "librispeech": ("librispeech", {"subset": "clean"}, {f"PAGE {i} OF {s}" for i in range(3) for s in (61, 84)}),
    "voicebench/advbench": ("voicebench", {"subset": "advbench"}, {f"Question {i}?" for i in range(4)}),
    "voicebench/openbookqa": ("voicebench", {"subset": "openbookqa"}, set(range(4))),
    "voicebench/sd-qa": ("voicebench", {"subset": "sd-qa"}, {f"answer {i}" for i in range(4)}),
}


@pytest.mark.parametrize("name", MEDIA)
def test_pictures_and_sounds_build_from_files_of_the_datasets_library(name, tmp_path):
    """Its columns of kind Image and Audio: bytes of a file beside its path."""
    builder, options, truths = MEDIA[name]
    out = build(builder, {"p": HUB / name.split("/")[0]}, tmp_path / "out", options | {"calibration": 1, "test": 3}, 3)
    for part, count in (("calibration", 1), ("test", 3)):
        found = of_part(out, part)
        assert len(found) == count
        for item in found:
            assert next(item[k] for k in ("label", "text", "answer", "prompt") if k in item) in truths
            assert (out / item["image"]).is_file() if "image" in item else items.audio(out / item["audio"]).std() > 0.1
    if name == "librispeech":
        assert {i["id"].split("-")[0] for i in of_part(out, "test")} == {"61"}, "test utterances from the test split"


@pytest.mark.parametrize("folder", sorted(p for p in HUB.iterdir()), ids=lambda p: p.name)
def test_what_is_fetched_of_a_repository_are_the_files_that_are_read(folder):
    """The paths are those of the hub's repositories at the pinned commits."""
    package = {"arc-challenge": "ai2-arc", "truthfulqa-mc1": "truthful-qa"}.get(folder.name, folder.name)
    rows = yaml.safe_load((Path(__file__).parents[1] / "config/paper/packages.yaml").read_text())
    keep = rows[package]["archives"][0]["keep"]
    tables_of = [p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet")]
    assert tables_of and all(any(fnmatch(name, pattern) for pattern in keep) for name in tables_of)


def test_markers_of_hellaswag_are_taken_out():
    assert plain("[header] How to bake [title] Heat it.  [step] Then") == "How to bake. Heat it. Then"


def test_gsm8k(tmp_path):
    for split, rows in (("train", 6), ("test", 8)):
        table = [{"question": f"{split} {i} apples" + "?" * i, "answer": f"She has <<{i}*1000={i}000>>.\n#### {i},000"}
                 for i in range(1, rows + 1)]  # fmt: skip
        parquet(tmp_path / f"p/main/{split}-00000-of-00001.parquet", table)
    out = build("gsm8k", {"p": tmp_path / "p"}, tmp_path / "out", {"calibration": 3, "test": 4}, 3)
    assert {i["answer"] for i in of_part(out, "test")} == {"5000", "6000", "7000", "8000"}, "the four longest"
    assert all(i["question"].startswith("train") for i in of_part(out, "calibration"))
    with pytest.raises(ConfigError, match="without a final number"):
        final("she has none")


def make_archive(folder: Path) -> None:
    for number, split in enumerate(("dev-clean", "test-clean")):
        for speaker in (1 + number * 10, 2 + number * 10):
            chapter = folder / f"LibriSpeech/{split}/{speaker}/7"
            chapter.mkdir(parents=True)
            names = [f"{speaker}-7-{n:04d}" for n in range(3)]
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{n} SAID BY {n}\n" for n in names))
            for n in names:
                (chapter / f"{n}.flac").write_bytes(flac(0.5))


def make_hub_librispeech(folder: Path) -> None:
    for number, split in enumerate(("validation", "test")):
        rows = [{"file": f"{n}.flac", "audio": {"bytes": flac(0.5), "path": f"{n}.flac"}, "text": f"SAID BY {n}",
                 "speaker_id": number, "chapter_id": 7, "id": n}
                for n in (f"{number}-7-{i:04d}" for i in range(6))]  # fmt: skip
        parquet(folder / f"clean/{split}/0000.parquet", rows)


@pytest.mark.parametrize("make", [make_archive, make_hub_librispeech])
def test_librispeech(make, tmp_path):
    make(tmp_path / "p")
    out = build("librispeech", {"p": tmp_path / "p"}, tmp_path / "out", {"calibration": 2, "test": 4}, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test")}
    assert [len(v) for v in parts.values()] == [2, 4]
    speakers = {part: {i["id"].split("-")[0] for i in found} for part, found in parts.items()}
    assert not speakers["calibration"] & speakers["test"]
    for item in parts["test"]:
        assert item["text"] == f"SAID BY {item['id']}" and item["seconds"] == 0.5
        assert items.audio(out / item["audio"]).shape == (8000,)


def test_a_transcript_without_its_sound_is_an_error(tmp_path):
    make_archive(tmp_path / "p")
    next((tmp_path / "p").rglob("11-7-0001.flac")).unlink()
    with pytest.raises(ConfigError, match=r"11-7-0001\.flac is not beside it"):
        build("librispeech", {"p": tmp_path / "p"}, tmp_path / "out", {"calibration": 2, "test": 4}, 3)


def spoken(subset: str, split: str, rows: int, **columns) -> list[dict]:
    return [{"audio": {"bytes": flac(0.25), "path": None}, "prompt": f"{subset} asks {i}",
             **{k: f(i) for k, f in columns.items()}} for i in range(rows)]  # fmt: skip


def make_voicebench(folder: Path) -> None:
    parquet(folder / "advbench/test-00000-of-00001.parquet", spoken("advbench", "test", 6))
    letters = spoken("openbookqa", "test", 6, reference=lambda i: "ABCD"[i % 4])
    parquet(folder / "openbookqa/test-00000-of-00001.parquet", letters)
    for accent in ("usa", "ind_n"):
        answers = spoken("sd-qa", accent, 6, reference=lambda i: f" answer {i} ")
        parquet(folder / f"sd-qa/{accent}-00000-of-00001.parquet", answers)


@pytest.mark.parametrize(
    ("options", "truth"),
    [
        ({"subset": "advbench"}, set()),
        ({"subset": "openbookqa"}, {0, 1, 2, 3}),
        ({"subset": "sd-qa", "accents": ["usa", "ind_n"]}, {f"answer {i}" for i in range(6)}),
    ],
)
def test_voicebench(options, truth, tmp_path):
    make_voicebench(tmp_path / "p")
    out = build("voicebench", {"p": tmp_path / "p"}, tmp_path / "out", options | {"calibration": 2, "test": 4}, 3)
    parts = {part: of_part(out, part) for part in ("calibration", "test")}
    assert [len(v) for v in parts.values()] == [2, 4]
    assert not {i["prompt"] for i in parts["calibration"]} & {i["prompt"] for i in parts["test"]}
    assert {i.get("answer") for found in parts.values() for i in found} <= (truth or {None})


def test_sound_is_brought_to_16_khz_mono():
    sound = read_audio(flac(1.0, rate=44100, channels=2))
    assert sound.dtype == np.int16 and abs(len(sound) - 16000) <= 32
    spectrum = np.abs(np.fft.rfft(sound[:16000]))
    assert abs(int(spectrum.argmax()) - 220) <= 1
    assert np.array_equal(read_audio(flac(0.1)), read_audio(flac(0.1)))
    with pytest.raises(ConfigError, match="is it whole"):
        read_audio(b"not a sound")


def test_tables_of_other_formats_and_broken_ones(tmp_path):
    rows = [{"a": i, "b": [i]} for i in range(3)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "y.jsonl.gz").write_bytes(gzip.compress((tmp_path / "x.jsonl").read_bytes()))
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(tmp_path / "z.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    for name in ("x.jsonl", "y.jsonl.gz", "z.arrow"):
        assert list(tables.rows({"p": tmp_path}, name, ("a", "b"))) == rows
    parquet(tmp_path / "v.parquet", rows)
    assert list(tables.rows({"p": tmp_path}, "v.parquet", ("a",))) == [{"a": i} for i in range(3)]
    for name in ("x.jsonl", "z.arrow", "v.parquet"):
        with pytest.raises(ConfigError, match="'c' is missing"):
            list(tables.rows({"p": tmp_path}, name, ("c",)))
    (tmp_path / "w.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"w\.parquet"):
        list(tables.rows({"p": tmp_path}, "w.parquet"))
    with pytest.raises(FetchError, match="no file"):
        list(tables.rows({"p": tmp_path}, "u.parquet"))


def test_a_model_of_the_hub_is_linked_whole_or_not_at_all(tmp_path):
    source = tmp_path / "hub"
    (source / "sub").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "sub/more.json", "fetched.json"):
        (source / name).write_text(name)
    out = convert("hub_folder", {"m": source}, tmp_path / "model")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "config.json", "model.safetensors", "sub/more.json",
    ]  # fmt: skip
    assert all(p.is_symlink() and p.read_text() == p.relative_to(out).as_posix() for p in out.rglob("*.*"))
    (source / "model.safetensors").unlink()
    with pytest.raises(FetchError, match=r"no \.safetensors"):
        convert("hub_folder", {"m": source}, tmp_path / "other")
    assert not (tmp_path / "other").exists()
