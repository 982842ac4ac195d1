"""Encode a feature store at every point of a ladder; decode the bitstreams again, from them and assets alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lamofc import codecs
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.jsonio import read_json, write_json
from lamofc.stages.fit import read_assets
from lamofc.stages.job import whole_directory
from lamofc.store import FeatureReader, FeatureWriter

SUFFIX = ".lmfc"


def encode(
    entry: Mapping[str, Any], ladder: Sequence[Any], features: Path, assets: Mapping[str, Path], out: Path
) -> None:
    """One bitstream <out>/<point>.lmfc per point, and <out>/encode.json with the order of points and seconds."""
    reader = FeatureReader(features)
    arrays, hashes = read_assets(assets)
    names = [codecs.point_name(entry, p) for p in ladder]
    with whole_directory(out) as folder:
        with ExitStack() as stack:
            writers = [
                stack.enter_context(
                    BitstreamWriter(folder / (n + SUFFIX), codecs.at_point(entry, p), reader.specs, arrays, hashes)
                )
                for n, p in zip(names, ladder, strict=True)
            ]
            pairs = zip(reader.ids, reader, strict=True)
            for sample_id, sample in tqdm(pairs, total=len(reader), desc="encode", mininterval=5):
                for writer in writers:
                    writer.add(sample, f"sample {sample_id}")
        seconds = {n: w.encode_seconds for n, w in zip(names, writers, strict=True)}
        write_json(folder / "encode.json", {"points": names, "seconds": seconds, "ids": reader.ids})


def decode(bitstreams: Path, assets: Mapping[str, Path], out: Path) -> None:
    """One feature store <out>/<point>.zarr per bitstream, and <out>/decode.json with points and seconds."""
    arrays, hashes = read_assets(assets)
    written = read_json(bitstreams / "encode.json")
    seconds: dict[str, float] = {}
    with whole_directory(out) as folder:
        for name in tqdm(written["points"], desc="decode", mininterval=5):
            reader = BitstreamReader(bitstreams / (name + SUFFIX), arrays, hashes)
            writer = FeatureWriter(folder / f"{name}.zarr", reader.specs)
            for sample_id, sample in zip(written["ids"], reader, strict=True):
                writer.add(sample_id, sample)
            writer.close()
            seconds[name] = reader.decode_seconds
        write_json(folder / "decode.json", {"points": written["points"], "seconds": seconds})
