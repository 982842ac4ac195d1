"""A projector between a speech encoder and a language model, both frozen: trained on recorded speech and on speech
synthesised on the way."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from lamofc.convert import audio_lm_small
from lamofc.jsonio import write_json

WEIGHTS = "projector.safetensors"


def train(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], packages: Mapping[str, Path], folder: Path,
    state: Path, begin: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write projector.safetensors (float16) and audio_lm.json; -> what training.json says of it. `state` as in
    train_language_model; begin: folder of an earlier training whose weights this one goes on with."""
    import torch
    from safetensors.torch import load_file

    from lamofc.convert.causal_lm_gguf import tokenizer_of
    from lamofc.training import heard, hearing

    torch.set_num_threads(1)
    tokenizer = tokenizer_of(packages)
    state.mkdir(parents=True, exist_ok=True)
    if not (state / "encoder").is_dir():
        audio_lm_small.listener(packages, state, entry["seconds"])
    encoder, stack = state / "encoder", entry["network"]["stack"]
    said = chain.from_iterable(heard.said(d, packages, entry["seconds"]) for d in datasets.values())
    learnt = list(heard.hear(said, encoder, stack))
    first = load_file(begin / WEIGHTS) if begin else {"vocabulary": torch.tensor([], dtype=torch.int64)}
    known = hearing.vocabulary(learnt, tokenizer, first["vocabulary"].tolist())
    net = hearing.build(entry, learnt[0].frames.shape[1], known)
    if begin:
        hearing.begin(net, first)
    training = hearing.Hearing(net, entry, learnt, tokenizer, state)
    training.run(log=lambda line: print(f"{name}: {line}", flush=True), last=entry.get("stop"))
    training.finish()
    write(net, entry, folder)
    net = net.half().float()
    parts = {d: heard.hear(heard.recorded(datasets[d], "calibration"), encoder, stack) for d in entry["validation"]}
    scores = {d: round(hearing.error_rate(net, list(part), tokenizer), 2) for d, part in parts.items()}
    return {"parameters": sum(p.numel() for p in net.parameters()), "steps": training.step, "utterances": len(learnt),
            "seconds": round(training.seconds, 1), "validation": scores, "curve": training.curve}  # fmt: skip


def write(net: Any, entry: Mapping[str, Any], folder: Path) -> None:
    """Weights in float16, and the layout with the projector's sizes."""
    from safetensors.torch import save_file

    weights = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / WEIGHTS)
    sizes = entry["network"] | {"classes": net.classes.out_features}
    write_json(folder / "audio_lm.json", entry["layout"] | {"projector": sizes})
