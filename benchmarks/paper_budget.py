"""Device memory and hours of the paper tier's language and audio jobs, derived on the meta device.

Run as `python benchmarks/paper_budget.py`; prints the tables of docs/paper-tier-language.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc import models  # noqa: E402
from lamofc.models import budget  # noqa: E402

# model -> tokens of a long prompt, tokens made, batch, points of a ladder
JOBS = {"qwen3-8b": (400, 100, 4, 6), "llama3-8b": (400, 100, 4, 6), "falcon-mamba-7b": (400, 100, 4, 6),
        "kimi-audio-7b": (250, 100, 4, 6)}  # fmt: skip
SAMPLES = 100


def main() -> None:
    rows = yaml.safe_load((ROOT / "config/paper/models.yaml").read_text())
    facts = {}
    for name, (tokens, new, *_) in JOBS.items():
        row = rows[name] | {"options": rows[name]["options"] | {"device": "meta"}}
        try:
            model = models.build(row, ROOT / "config/paper/shapes" / name, "layer4")
        except models.ConfigError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        facts[name] = budget.derive(model, tokens, new)
    print(
        "| model | weights head / tail | tokens + new | features a sample | TFLOPs head / tail | device GB at batch |"
    )
    print("|---|---|---|---|---|---|")
    for name, f in facts.items():
        tokens, new, batch, _ = JOBS[name]
        print(f"| {name} | {f.head_weights / 1e9:.2f} G / {f.tail_weights / 1e9:.2f} G | {tokens} + {new} "
              f"| {f.feature_bytes / 1e6:.2f} MB | {f.head_flops / 1e12:.2f} / {f.tail_flops / 1e12:.2f} "
              f"| {budget.memory_gb(f, batch):.1f} at {batch} |")  # fmt: skip
    names = [d.name for d in budget.DEVICES]
    print(f"\n| minutes of one job, {SAMPLES} samples | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, f in facts.items():
        _, new, batch, points = JOBS[name]
        extract = [budget.extract_hours(f, d, SAMPLES, new, batch) for d in budget.DEVICES]
        evaluate = [budget.evaluate_hours(f, d, SAMPLES, points, new, batch) for d in budget.DEVICES]
        print(f"| {name}, extract | {' | '.join(f'{60 * h:.1f}' for h in extract)} |")
        print(f"| {name}, evaluate an arm of {points} points | {' | '.join(f'{60 * h:.1f}' for h in evaluate)} |")


if __name__ == "__main__":
    main()
