"""Results of a made-up run, of the shape that rule collect leaves: for tests of figures, tables and pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import statistics, tasks
from lamofc.jsonio import write_json
from lamofc.stages.collect import collect

CURVES = [
    ("CVU", "stamps-cls", "dinov2-s", "block8", "classification", 98.0, 100 / 12),
    ("CVU", "composites-seg", "dinov2-s", "block8", "segmentation", 71.0, None),
    ("CLU", "capitals", "smollm2-135m", "layer4", "choice", 84.0, 25.0),
    ("CAU", "speech-clean", "whisper-tiny-en", "encoder", "asr", 9.0, None),
    ("CVU", "composites-seg", "dinov2-s", "blocks2-5-8-11", "segmentation", 78.0, None),
    ("CLU", "continuation", "smollm2-135m", "layer4", "choice", 61.0, 25.0),
    ("CAU", "speech-noisy", "whisper-tiny-en", "encoder", "asr", 21.0, None),
    ("CVU", "rooms-depth", "dinov2-s", "blocks2-5-8-11", "depth", 80.0, 1.6),
]
CODECS = {
    "identity": ("reference", 0), "cast": ("reference", 4), "lossless-zstd": ("reference", 0),
    "uq-ec": ("numeric", 1.0), "uq-ec-stream": ("numeric", 1.15), "hadamard": ("numeric", 1.3),
    "turboquant": ("numeric", 1.6), "dtufc-hyperprior-nearest": ("learned", 1.8),
    "dtufc-hyperprior-floor": ("learned", 2.7), "dtufc-elic-nearest": ("learned", 1.7),
    "dtufc-elic-floor": ("learned", 2.5), "dtufc-elic-nearest-zero-shot": ("learned", 1.9), "orfc": ("vector", 1.2),
    "opq": ("vector", 1.4), "kvtc": ("kv", 0.9), "cachegen": ("kv", 1.9), "kivi": ("kv", 3.0),
    "kvquant": ("kv", 2.6), "hevc": ("image", 1.25), "jpegxl": ("image", 1.5), "av1": ("image", 1.35),
    "svd": ("transform", 3.4), "dct": ("transform", 2.2), "topk": ("transform", 4.0), "zfp": ("scientific", 2.9),
    "sz3": ("scientific", 2.0), "bitround": ("scientific", 4.5), "fisher-klt": ("ours", 0.6),
    "input-jpegxl": ("input", 0.8), "kvtc-zero-shot": ("kv", 1.1), "uq-ec-zero-shot": ("numeric", 1.2),
}  # fmt: skip


def outcomes(task: str, reference: np.ndarray, harm: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Outcomes of samples whose features are harmed by 0 (not at all) .. 1 (nothing left)."""
    n = len(reference)
    if task == "asr":
        words = np.full(n, 12.0)
        return {"edits": np.minimum(30.0, np.round(reference * words + harm * rng.uniform(4, 14, n))), "words": words}
    if task == "depth":
        worse = np.maximum(reference, 0.1) * (1 + 3 * harm * rng.uniform(0.6, 1, n))
        return {"rmse": worse, "abs_rel": worse / 4, "delta": np.clip(1 - worse / 3, 0, 1)}
    if task == "segmentation":
        return {"iou": np.clip(reference * (1 - harm * rng.uniform(0.6, 1, n)), 0, 1)}
    return {"correct": np.where(harm > rng.uniform(0.2, 1, n), rng.random(n) < 0.15, reference).astype(float)}


def make(
    folder: Path, curves: int = 7, codecs: list[str] | None = None, n: int = 100, seed: int = 0
) -> dict[str, Path]:
    """Write scores.tsv, scores.parquet and outcomes.parquet into `folder`; -> their paths by name."""
    rng, files = np.random.default_rng(seed), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(curves):
        category, scenario, model, split, task, level, chance = CURVES[number % len(CURVES)]
        scenario += "" if number < len(CURVES) else f"-{number // len(CURVES) + 1}"
        good = rng.normal(level / 100, 0.05, n)
        if task in ("classification", "choice"):
            good = rng.random(n) < level / 100
        tougher = rng.normal(0, 0.5, n)
        curve = {"category": category, "scenario": scenario, "stands_for": scenario, "model": model, "split": split,
                 "curve": f"{scenario}.{model}.{split}", "task": task, "chance": chance}  # fmt: skip
        for codec in codecs or CODECS:
            if CODECS[codec][0] == "kv" and category != "CLU":
                continue
            path = folder / f"{number}-{codec}.json"
            write_json(path, _scored(curve, codec, task, np.asarray(good, float), tougher, rng))
            files.append(path)
    paths = [folder / name for name in ("scores.tsv", "scores.parquet", "outcomes.parquet")]
    collect(files, *paths)
    return dict(zip(("scores", "parquet", "samples"), paths, strict=True))


def _scored(
    curve: dict, codec: str, task: str, good: np.ndarray, tougher: np.ndarray, rng: np.random.Generator
) -> dict:
    family, need = CODECS[codec]
    n, elements = len(good), len(good) * 257 * 384
    bits = 32.0 if curve["category"] != "CLU" else 16.0
    rates = {"identity": [bits], "lossless-zstd": [0.7 * bits], "cast": [bits / 2, bits / 4]}.get(
        codec, need * np.geomspace(6, 0.15, 7) * rng.uniform(0.9, 1.1)
    )
    kind, score = tasks.load(task), tasks.load(task).score
    reference = outcomes(task, good, np.zeros(n), rng)
    file = {"rows": [], "outcomes": {}, "damages": {}, "flips": {}}
    file["reference"] = {k: v.tolist() for k, v in reference.items()}
    for number, rate in enumerate(rates):
        exact = codec in ("identity", "lossless-zstd")
        harm = np.zeros(n) if exact else 1 / (1 + (rate / max(need, 1) / np.exp(tougher - 0.3)) ** 2.5)
        found = reference if exact else outcomes(task, good, harm, rng)
        low, high = _interval(score, found)
        point = f"{2.0**number:g}"
        file["outcomes"][point] = {k: v.tolist() for k, v in found.items()}
        file["damages"][point] = (harm**2).tolist()
        file["flips"][point] = (harm > 0.5).tolist()
        row = curve | {
            "codec": codec, "family": family, "point": point, "n": n, "elements": elements,
            "bytes": int(rate * elements / 8), "side_bytes": 20 * n, "asset_bytes": int(need * 1e5), "bpfp": rate,
            "ebpfp": rate * 32 / bits, "ratio": bits / rate, "mse": 0.0 if exact else 3 * 2.0 ** (-1.9 * rate),
            "rel_mse": 0.0 if exact else 2.0 ** (-2 * rate),
            "cosine": 1 - (0 if exact else 2.0 ** (-2 * rate) / 2), "cka": 1 - harm.mean() / 2, "metric": kind.metric,
            "unit": kind.unit, "higher_is_better": kind.higher_is_better,
            "score": float(score(None, found)), "score_low": low, "score_high": high,
            "reference_score": float(score(None, reference)), "flips": int((harm > 0.5).sum()),
            "damage": float((harm**2).mean()), "encode_mbps": 80 / max(need, 0.4), "decode_mbps": 60 / max(need, 0.4),
            "head_seconds": 0.03, "tail_seconds": 0.02, "unsplit_seconds": 0.048, "commit": "0123456789ab",
        }  # fmt: skip
        file["rows"].append(row)
    return file


def _interval(score: object, found: dict[str, np.ndarray]) -> tuple[float, float]:
    chosen = statistics.resample(len(next(iter(found.values()))), resamples=200)
    low, high = np.quantile(score(None, {k: v[chosen] for k, v in found.items()}), [0.025, 0.975])
    return float(low), float(high)


def beside(folder: Path, scores: Path) -> dict[str, Path]:
    """Write bits.tsv and inputs.tsv that fit a made-up run."""
    table = pd.read_csv(scores, sep="\t", dtype={"point": str})
    parts = {"tokens": 0.6, "key": 0.3, "side information": 0.08, "framing": 0.02}
    bits = [
        {
            "curve": r.curve,
            "codec": r.codec,
            "point": r.point,
            "part": part,
            "bytes": int(share * r.bytes),
            "padding": 0.1 if r.family == "learned" else None,
        }
        for r in table.itertuples()
        for part, share in parts.items()
    ]
    curves = table.drop_duplicates("curve")
    inputs = curves[["curve", "n"]].assign(form="FLAC", bytes=curves.n * 60000, encode_seconds=curves.n * 0.01)
    paths = {"bits": folder / "bits.tsv", "inputs": folder / "inputs.tsv"}
    for frame, path in zip((pd.DataFrame(bits), inputs), paths.values(), strict=True):
        frame.to_csv(path, sep="\t", index=False)
    return paths
