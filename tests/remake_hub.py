"""Write tests/golden/hub: published sets in miniature, written and read back by Hugging Face `datasets`.

Run once, with datasets 5.2.0, pillow and av, in an environment of its own (it needs a newer pyarrow than the
project's): `python tests/remake_hub.py`. Folders and columns are those of the sets' repositories on the hub.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, Value, load_dataset
from PIL import Image as Picture

OUT = Path(__file__).parent / "golden/hub"
TEXT, WHOLE = Value("string"), Value("int32")
TARGETS = {"choices": Sequence(TEXT), "labels": Sequence(WHOLE)}
COLUMNS = {
    "arc-challenge": {"id": TEXT, "question": TEXT, "choices": Sequence({"text": TEXT, "label": TEXT}),
                      "answerKey": TEXT},
    "hellaswag": {"ind": WHOLE, **dict.fromkeys(("activity_label", "ctx_a", "ctx_b", "ctx"), TEXT),
                  "endings": Sequence(TEXT), **dict.fromkeys(("source_id", "split", "split_type", "label"), TEXT)},
    "truthfulqa-mc1": {"question": TEXT, "mc1_targets": TARGETS, "mc2_targets": TARGETS},
    "winogrande": dict.fromkeys(("sentence", "option1", "option2", "answer"), TEXT),
    "gsm8k": dict.fromkeys(("question", "answer"), TEXT),
}  # fmt: skip
PLACES = {
    "arc-challenge": ("ARC-Challenge", ("train", "test")), "hellaswag": ("data", ("train", "validation")),
    "truthfulqa-mc1": ("multiple_choice", ("validation",)), "winogrande": ("winogrande_xl", ("train", "validation")),
    "gsm8k": ("main", ("train", "test")),
}  # fmt: skip


def arc(split: str, i: int) -> dict[str, Any]:
    labels = (["1", "2", "3", "4"], list("ABC"), list("ABCD"))[i]
    texts = [f"{'right' if n == i else 'wrong'} {split}{i}.{n}" for n in range(len(labels))]
    return {"id": f"{split}_{i}", "question": f"Question {split} {i}?" + " why" * i,
            "choices": {"text": texts, "label": labels}, "answerKey": labels[i]}  # fmt: skip


def hellaswag(split: str, i: int) -> dict[str, Any]:
    return {"ind": i, "activity_label": "Baking", "ctx_a": f"{split} {i} [header] How to bake [title] Heat it.",
            "ctx_b": "then she", "ctx": "unused",
            "endings": [f"{'right' if n == i else 'wrong'} {i}.{n} [step] end" for n in range(4)],
            "source_id": f"wikihow~{i}", "split": split, "split_type": "indomain", "label": str(i)}  # fmt: skip


def truthfulqa(split: str, i: int) -> dict[str, Any]:
    targets = {"choices": [f"right {i}", *(f"wrong {i}.{n}" for n in range(2 + i))], "labels": [1] + [0] * (2 + i)}
    return {"question": f"Is it so, {i}?", "mc1_targets": targets, "mc2_targets": targets}


def winogrande(split: str, i: int) -> dict[str, Any]:
    first, second = ("wrong", "right") if i % 2 else ("right", "wrong")
    return {"sentence": f"{split} {i}: the trophy did not fit the case as _ was big.", "option1": f"{first} one",
            "option2": f"{second} two", "answer": str(i % 2 + 1)}  # fmt: skip


def gsm8k(split: str, i: int) -> dict[str, Any]:
    i += 1
    return {"question": f"{split} {i} apples" + "?" * i, "answer": f"She has <<{i}*1000={i}000>>.\n#### {i},000"}


ROWS = dict(zip(COLUMNS, (arc, hellaswag, truthfulqa, winogrande, gsm8k), strict=True))


def tables(name: str) -> Iterator[tuple[str, Dataset]]:
    for split in PLACES[name][1]:
        yield split, Dataset.from_list([ROWS[name](split, i) for i in range(3)], features=Features(COLUMNS[name]))


FILE = {"bytes": Value("binary"), "path": TEXT}  # cast to Audio, whose own encoder wants another package
SPEECH = {"file": TEXT, "audio": FILE, "text": TEXT, "speaker_id": Value("int64"),
          "chapter_id": Value("int64"), "id": TEXT}  # fmt: skip
SPOKEN = {"audio": FILE, "prompt": TEXT}
MEDIA = {  # file: columns, rows
    "imagenet-val/data/validation-00000-of-00014": (
        {"image": Image(), "label": ClassLabel(num_classes=1000)},
        lambda: [{"image": jpeg(60 * i), "label": 7 * i} for i in range(4)],
    ),
    "librispeech/clean/validation/0000": (SPEECH, lambda: [spoken_page(84, i) for i in range(3)]),
    "librispeech/clean/test/0000": (SPEECH, lambda: [spoken_page(61, i) for i in range(3)]),
    "voicebench/advbench/test-00000-of-00001": (SPOKEN, lambda: [asked(i) for i in range(4)]),
    "voicebench/openbookqa/test-00000-of-00001": (
        SPOKEN | {"reference": TEXT}, lambda: [asked(i) | {"reference": "ABCD"[i]} for i in range(4)],
    ),
    "voicebench/sd-qa/usa-00000-of-00001": (
        SPOKEN | {"reference": TEXT}, lambda: [asked(i) | {"reference": f"answer {i}"} for i in range(4)],
    ),
}  # fmt: skip


def jpeg(grey: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Picture.new("RGB", (40, 30), (grey, grey, 200)).save(buffer, "JPEG")
    return {"bytes": buffer.getvalue(), "path": f"ILSVRC2012_val_{grey:08d}.JPEG"}


def tone(seconds: float) -> np.ndarray:
    return (8000 * np.sin(np.arange(round(seconds * 16000)) / 9)).astype(np.int16)


def spoken_page(speaker: int, i: int) -> dict[str, Any]:
    name, buffer = f"{speaker}-121123-{i:04d}", io.BytesIO()
    with av.open(buffer, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(0.1 * (i + 1))[None], "s16", "mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return {"file": f"{name}.flac", "audio": {"bytes": buffer.getvalue(), "path": f"{name}.flac"},
            "text": f"PAGE {i} OF {speaker}", "speaker_id": speaker, "chapter_id": 121123, "id": name}  # fmt: skip


def asked(i: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(tone(0.1).tobytes())
    return {"audio": {"bytes": buffer.getvalue(), "path": None}, "prompt": f"Question {i}?"}


def write_media() -> None:
    for name, (columns, rows) in MEDIA.items():
        path = (OUT / name).with_suffix(".parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        table = Dataset.from_list(rows(), features=Features(columns))
        (table.cast_column("audio", Audio(16000)) if "audio" in columns else table).to_parquet(path)


def main() -> None:
    write_media()
    for name, (folder, splits) in PLACES.items():
        for split, table in tables(name):
            path = OUT / name / folder / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_parquet(path)
        found = load_dataset("parquet", data_files={s: str(OUT / name / folder / f"{s}-*") for s in splits})
        (OUT / name / "rows.json").write_text(json.dumps({s: list(found[s]) for s in splits}, indent=0))
    _, first = next(tables("gsm8k"))
    first.to_json(OUT / "gsm8k/lines/train.jsonl")
    DatasetDict({"train": first}).save_to_disk(OUT / "gsm8k/disk")


if __name__ == "__main__":
    main()
