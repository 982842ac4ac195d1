"""A run's scores in the columns that one compares codecs by, to four digits: a full run as a file one keeps.

    python benchmarks/condensed_scores.py results/full/scores.tsv docs/results/full_scores.tsv

Rows are in the table's order; `reference_score` is that of the uncompressed run on the same samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

COLUMNS = ["curve", "codec", "point", "n", "bpfp", "score", "score_low", "score_high", "reference_score", "flips",
           "damage", "rel_mse", "asset_bytes", "encode_mbps", "decode_mbps"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    rows = pd.read_csv(options.scores, sep="\t", dtype={"point": str})[COLUMNS]
    rows.to_csv(options.out, sep="\t", index=False, float_format="%.4g", lineterminator="\n")
    print(f"{options.out}: {len(rows)} rows, {rows.curve.nunique()} curves, {rows.codec.nunique()} codecs")


if __name__ == "__main__":
    main()
