"""Code features outside the workflow: `python -m lamofc encode|decode|inspect|fit|target-score|import`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lamofc.errors import LamofcError

DEFAULT_CONFIG = Path(__file__).parents[3] / "config/codecs.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 2 after one line on stderr that says what is wrong."""
    options = _parser().parse_args(arguments)
    from lamofc.cli import commands

    try:
        getattr(commands, options.command.replace("import", "import_features").replace("-", "_"))(options)
    except (LamofcError, OSError) as error:
        print(f"lamofc {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lamofc", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    encode = commands.add_parser("encode", help="features to a bitstream")
    encode.add_argument("input", type=Path, help="Zarr feature store, or .safetensors/.npz: named arrays of one sample")
    encode.add_argument("output", type=Path, help="bitstream to write")
    _add_codec(encode)
    encode.add_argument("--point", help="a point of the row's ladder, or another value of its knob")
    encode.add_argument("--target-bpfp", type=float, help="instead: the finest knob that stays within this rate")
    encode.add_argument("--target-rel-mse", type=float, help="or the coarsest that stays within this relative error")
    _add_assets(encode)
    encode.add_argument("--kind", action="append", default=[], metavar="TENSOR=KIND", help="kind of an array in a file")

    decode = commands.add_parser("decode", help="a bitstream to features")
    decode.add_argument("input", type=Path, help="bitstream")
    decode.add_argument("output", type=Path, help="Zarr feature store (.zarr) or .safetensors to write")
    decode.add_argument("--sample", type=int, help="this sample alone")
    _add_assets(decode)

    inspect = commands.add_parser("inspect", help="what a bitstream holds and where its bits went")
    inspect.add_argument("input", type=Path, help="bitstream; needs no assets")
    inspect.add_argument("--json", action="store_true", help="as JSON")

    fit = commands.add_parser("fit", help="calibration features to the assets of a codec")
    fit.add_argument("input", type=Path, help="Zarr feature store of calibration samples")
    fit.add_argument("output", type=Path, help=".safetensors to write")
    _add_codec(fit)

    score = commands.add_parser("target-score", help="the coarsest knob that keeps a share of a curve's score")
    score.add_argument("curve", help="row of config/scenarios.tsv whose features and assets the workflow made")
    score.add_argument("--codec", required=True, help="row of the codecs file")
    score.add_argument("--share", type=float, default=0.99, help="of the uncompressed score (%(default)s)")
    score.add_argument("--samples", type=int, help="so many calibration samples; default: all")
    score.add_argument("--results", type=Path, default=Path("results"), help="folder of the run (%(default)s)")

    hosted = commands.add_parser("import", help="published feature files (zstd-compressed torch files) to a store")
    hosted.add_argument("input", type=Path, help="folder of files, one per sample, or one file")
    hosted.add_argument("output", type=Path, help="Zarr feature store (.zarr) to write")
    hosted.add_argument("--schema", default="auto", help="transformer, state-space, vision or text-to-image")
    hosted.add_argument("--rope-theta", type=float, help="of the model's rotary positions, for codecs of keys")
    hosted.add_argument("--limit", type=int, help="the first so many files, by name")
    hosted.add_argument("--max-bytes", type=int, default=1 << 33, help="of one sample, decompressed (%(default)s)")
    return parser


def _add_codec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", required=True, help="row of the codecs file")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="codecs file (default: %(default)s)")


def _add_assets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--assets", type=Path, help=".safetensors that `fit` or the workflow made")
    parser.add_argument("--network", type=Path, help=".safetensors with a learned codec's weights")


if __name__ == "__main__":
    sys.exit(main())
