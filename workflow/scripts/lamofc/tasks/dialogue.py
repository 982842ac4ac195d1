"""Questions with solved examples as token ids: the model's chat template where it has one, plain text otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def prompt_ids(tokenizer: Any, solved: Sequence[tuple[str, str]], question: str, chat: bool = True) -> np.ndarray:
    """Solved (question, answer) pairs, then the question to answer -> int64 (tokens,).

    A template that would put in its own system prompt gets an empty one: a prefix that is equal for all samples
    would cross the split for nothing.
    """
    template = getattr(tokenizer, "chat_template", None) if chat else None
    if template:
        turns = [{"role": "system", "content": ""}] if "system" in str(template) else []
        turns += [
            {"role": r, "content": c} for pair in solved for r, c in zip(("user", "assistant"), pair, strict=True)
        ]
        turns.append({"role": "user", "content": question})
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
    else:
        ids = tokenizer(plain_text(solved, question)).input_ids
    return np.asarray(ids, np.int64)


def plain_text(solved: Sequence[tuple[str, str]], question: str, answer: str = "") -> str:
    """The same for models without a template; a model trained on it ends its answer with a blank line."""
    shown = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in solved)
    return f"{shown}Question: {question}\nAnswer:" + (f" {answer}\n\n" if answer else "")


def stop_ids(tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the end of a turn or text, and line ends that are one token."""
    ends = [tokenizer(text, add_special_tokens=False).input_ids for text in ("\n", "\n\n")]
    found = {ids[0] for ids in ends if len(ids) == 1}
    return sorted(found | ({tokenizer.eos_token_id} - {None}))
