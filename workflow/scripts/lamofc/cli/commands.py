"""The commands, each a function of its parsed options. They print what they wrote."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from lamofc import codecs, features, rate_control
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.checked import read_yaml
from lamofc.cli import arrays, report
from lamofc.config import Plan
from lamofc.errors import ConfigError, StoreError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.stages import fit as fitting
from lamofc.store import FeatureWriter
from lamofc.whole import partial_name, whole_file

ROOT = Path(__file__).parents[4]


def encode(options: argparse.Namespace) -> None:
    """Features of a store or file -> one bitstream at one point."""
    row = _row(options.config, options.codec)
    specs, samples = arrays.read(options.input, _kinds(options.kind))
    held, hashes = fitting.read_assets(_assets(options))
    entry = _entry(options, row, specs, held)
    elements = 0
    with BitstreamWriter(options.output, entry, specs, held, hashes) as writer:
        for name, sample in samples:
            writer.add(sample, f"{options.input}: {name}")
            elements += features.elements(sample)
    size = options.output.stat().st_size
    print(f"{options.output}: {size} bytes, {8 * size / max(elements, 1):.4f} bits per feature point")


def _entry(
    options: argparse.Namespace, row: Mapping[str, Any], specs: Sequence[TensorSpec], held: Assets
) -> dict[str, Any]:
    """The row at the point that was named, or at the knob that meets the target that was named."""
    wanted = {"bpfp": options.target_bpfp, "rel_mse": options.target_rel_mse}
    targets = {k: v for k, v in wanted.items() if v is not None}
    if len(targets) + (options.point is not None) > 1 or any(not v > 0 for v in targets.values()):
        raise ConfigError("name one of --point, --target-bpfp and --target-rel-mse; targets are above 0")
    if not targets:
        return codecs.at_point(row, _point(row, options.codec, options.point))
    search = {"bpfp": rate_control.for_rate, "rel_mse": rate_control.for_distortion}[next(iter(targets))]
    samples = [s for _, s in arrays.read(options.input, _kinds(options.kind))[1]]
    for number, sample in enumerate(samples):
        features.check(sample, specs, f"{options.input}: sample {number}")
    value = search(row, specs, held, samples, next(iter(targets.values())))
    print(f"{codecs.load(row['codec']).knob} {value:g}")
    return rate_control.at(row, value)


def decode(options: argparse.Namespace) -> None:
    """Bitstream -> features, as a store or as safetensors."""
    held, hashes = fitting.read_assets(_assets(options))
    reader = BitstreamReader(options.input, held, hashes)
    chosen = range(len(reader)) if options.sample is None else [options.sample]
    if any(not 0 <= i < len(reader) for i in chosen):
        raise ConfigError(f"{options.input}: has samples 0 .. {len(reader) - 1}, not {options.sample}")
    write = {".zarr": _write_store, ".safetensors": _write_file}.get(options.output.suffix)
    if write is None:
        raise ConfigError(f"{options.output}: name the output *.zarr or *.safetensors")
    write(options.output, reader, chosen)
    print(f"{options.output}: {len(chosen)} samples")


def inspect(options: argparse.Namespace) -> None:
    """Print what a bitstream holds and where its bits went."""
    found = report.describe(BitstreamReader(options.input))
    print(json.dumps(found, indent=1) if options.json else report.text(found))


def fit(options: argparse.Namespace) -> None:
    """Calibration store -> assets."""
    row = _row(options.config, options.codec)
    fitting.fit(codecs.at_point(row, row["ladder"][0]), options.input, options.output)


def target_score(options: argparse.Namespace) -> None:
    """A curve of a finished run -> the coarsest knob that keeps a share of its score on calibration samples."""
    from lamofc.stages.target_score import target_score as find  # needs torch, which the others do without

    plan = Plan(read_yaml(ROOT / "config/config.yaml"), ROOT)
    row, entry = plan.all_curves.get(options.curve), plan.all_arms.get(options.codec)
    if row is None or entry is None or not 0 < options.share <= 1:
        raise ConfigError(f"no curve {options.curve!r}, no codec {options.codec!r}, or share not in 0 .. 1")
    files = {"assets": options.results / f"assets/{options.curve}/{options.codec}.safetensors"}
    fitted, model = row.get("fitted"), plan.models[row["model"]]
    found = find(row, model, entry, ROOT / "resources/models" / row["model"], ROOT / "resources/data" / row["dataset"],
                 options.results / f"readouts/{fitted}.safetensors" if fitted else None,
                 options.results / f"features/{options.curve}", files if codecs.needs_fit(entry) else {},
                 options.share, options.samples)  # fmt: skip
    print(
        f"{codecs.load(entry['codec']).knob} {found['knob']:g} keeps {found['score']:.4g} of {found['reference']:.4g}"
    )


def import_features(options: argparse.Namespace) -> None:
    """Published feature files -> a feature store, which `encode` and `fit` take."""
    from lamofc import hosted  # needs torch, which the others do without

    files = hosted.files_of(options.input)[: options.limit]
    with _whole_store(options.output) as partial:
        count = hosted.write_store(files, partial, options.schema, options.rope_theta, options.max_bytes)
    print(f"{options.output}: {count} samples")


def _row(config: Path, name: str) -> Mapping[str, Any]:
    rows = read_yaml(config)
    if name not in rows:
        raise ConfigError(f"{config}: no row {name!r}; it has {', '.join(rows)}")
    return rows[name]


def _point(row: Mapping[str, Any], name: str, wanted: str | None) -> Any:
    """The ladder's point of that name, else `wanted` as a value of the knob."""
    named = {codecs.point_name(row, p): p for p in row["ladder"]}
    if wanted is None and len(named) > 1:
        raise ConfigError(f"codec {name}: choose a --point, such as {', '.join(named)}")
    if wanted is None:
        return next(iter(named.values()))
    return named[wanted] if wanted in named else yaml.safe_load(wanted)


def _kinds(pairs: list[str]) -> dict[str, str]:
    if any("=" not in pair for pair in pairs):
        raise ConfigError(f"--kind {pairs[-1]}: write TENSOR=KIND")
    return dict(pair.split("=", 1) for pair in pairs)


def _assets(options: argparse.Namespace) -> dict[str, Path]:
    roles = {"assets": options.assets, "network": options.network}
    return {role: path for role, path in roles.items() if path is not None}


def _write_store(path: Path, reader: BitstreamReader, chosen: range | list[int]) -> None:
    with _whole_store(path) as partial:
        writer = FeatureWriter(partial, reader.specs)
        for i in chosen:
            writer.add(str(i), reader.decode(i))
        writer.close()


@contextmanager
def _whole_store(path: Path) -> Iterator[Path]:
    """A name beside `path` for a new store, which becomes `path` when the block ends well, else is removed."""
    if path.exists():
        raise StoreError(f"{path}: exists already; delete it or choose another name")
    partial = partial_name(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_file(path: Path, reader: BitstreamReader, chosen: range | list[int]) -> None:
    """Tensors by name; with more than one sample, `<sample>/<tensor>`."""
    out: dict[str, np.ndarray] = {}
    for i in chosen:
        prefix = f"{i}/" if len(chosen) > 1 else ""
        out |= {prefix + name: array for name, array in reader.decode(i).items()}
    with whole_file(path) as partial:
        save_file(out, partial)
