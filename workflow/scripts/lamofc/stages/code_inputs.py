"""Inputs coded and decoded again, and the head over what came back: the far side's whole model, scored like a split."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from lamofc import inputs, models, tasks
from lamofc.errors import BitstreamError, ConfigError
from lamofc.inputs import stream
from lamofc.jsonio import read_json, write_json
from lamofc.stages import extract
from lamofc.stages.job import whole_directory
from lamofc.store import FeatureWriter


def encode(
    entry: Mapping[str, Any], ladder: Sequence[Any], row: Mapping[str, Any], weights: Path, dataset: Path, out: Path
) -> None:
    """One file <out>/<point>.lmin per point, and <out>/encode.json with the order of points and seconds.

    weights: the model's folder, where a task reads its tokenizer.
    """
    task, names, clocks = tasks.build(row["task"], dataset, weights), [inputs.point_name(entry, p) for p in ladder], []
    with whole_directory(out) as folder, threadpool_limits(1):
        words = {e.id: _words(e.inputs) for e in task.examples("test", row["n"])}
        beside = _common(words, dataset)
        for name, point in zip(names, tqdm(ladder, desc="encode inputs", mininterval=5), strict=True):
            codec = inputs.at_point(entry, point)
            clocks.append(_Clock(inputs.build(codec).encode))
            packets = (clocks[-1](e.inputs) for e in task.examples("test", row["n"]))
            stream.write(folder / (name + stream.SUFFIX), codec, packets)
        seconds = {n: c.seconds for n, c in zip(names, clocks, strict=True)}
        facts = {"points": names, "seconds": seconds, "ids": list(words), "suffix": stream.SUFFIX, "beside": beside}
        write_json(folder / "encode.json", facts)


def decode(
    bitstreams: Path,
    row: Mapping[str, Any],
    model_row: Mapping[str, Any],
    weights: Path,
    readout: Path | None,
    out: Path,
) -> None:
    """One store <out>/<point>.zarr of the features of decoded inputs, and <out>/decode.json.

    Seconds are those of decoding the inputs; the head's, which counts on the far side, are in latency.json.
    """
    written, seconds = read_json(bitstreams / "encode.json"), {}
    model = models.build(model_row, weights, row["split"], row.get("readout"), readout)
    with whole_directory(out) as folder:
        for name in tqdm(written["points"], desc="decode inputs", mininterval=5):
            path = bitstreams / (name + stream.SUFFIX)
            codec, packets = stream.read(path)
            decoder = _Clock(inputs.build(codec).decode)
            writer, ids, received = (
                FeatureWriter(folder / f"{name}.zarr", model.specs),
                iter(written["ids"]),
                iter(packets),
            )
            size = getattr(model, "block", extract.BLOCK)
            while block := [_decoded(decoder, p, path) for p in itertools.islice(received, size)]:
                for sample in model.head([written["beside"] | sent for sent in block]):
                    writer.add(next(ids), sample)
            writer.close()
            seconds[name] = decoder.seconds
        write_json(folder / "decode.json", {"points": written["points"], "seconds": seconds})


def _words(inputs: Mapping[str, Any]) -> dict[str, str]:
    """What is no signal: the instruction beside a sound."""
    return {name: value for name, value in inputs.items() if isinstance(value, str)}


def _common(words: Mapping[str, dict[str, str]], dataset: Path) -> dict[str, str]:
    """The instruction, equal for all samples: the far side has it and it costs no bits."""
    beside = next(iter(words.values()), {})
    for name, own in words.items():
        if own != beside:
            raise ConfigError(
                f"{dataset}: sample {name} has text of its own beside its sound, which no input codec sends"
            )
    return beside


def _decoded(decoder: Callable[[bytes], dict[str, Any]], data: bytes, path: Path) -> dict[str, Any]:
    try:
        return decoder(data)
    except Exception as error:  # image and sound libraries raise what they like
        raise BitstreamError(f"{path}: {type(error).__name__}: {error}") from error


class _Clock:
    """A function that counts the seconds spent in it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, argument: Any) -> Any:
        start = time.perf_counter()
        result = self.function(argument)
        self.seconds += time.perf_counter() - start
        return result
