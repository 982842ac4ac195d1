"""What tasks share whose output is a generated text: prompts by chat template, sound, and accuracy in percent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.interfaces import Example
from lamofc.jsonio import read_json
from lamofc.tasks import items, measures
from lamofc.tasks.answers import changed
from lamofc.tasks.divergence import stepwise_divergence


class Generated(ABC):
    """truth: by task. output: text. Items hold a question, and sound where it is asked aloud.

    Text models are asked zero-shot, in one user turn of their chat template (thinking switched off where the template
    knows of it); a model without a template gets the bare question. Models that hear get the sound and, as text beside
    it, what the item's question says. Side: `max_new_tokens`, and for text models the tokens that end a text.
    """

    metric, unit, higher_is_better, modality = "accuracy", "%", True, "text"
    damage_name = "nats or edits/word"
    max_new_tokens = 100
    measure = staticmethod(measures.likelihood)

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset, self.weights = dataset, weights
        chance = read_json(dataset / "dataset.json").get("chance")
        self.chance = None if chance is None else 100 * chance

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.weights, local_files_only=True)

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            side = {"max_new_tokens": self.max_new_tokens} | ({} if "audio" in item else {"stop": self.stop})
            yield Example(item["id"], self._inputs(item), side, self.truth(item))

    @cached_property
    def stop(self) -> list[int]:
        """The ends of a text that the model's generation_config.json and its tokenizer name."""
        path = self.weights / "generation_config.json"
        ends = np.atleast_1d(read_json(path).get("eos_token_id") or []) if path.is_file() else []
        return sorted({int(e) for e in ends} | ({self.tokenizer.eos_token_id} - {None}))

    def text(self, output: Any) -> str:
        """Of models that hear, the output; of text models, what its tokens say."""
        if isinstance(output, str):
            return output
        return self.tokenizer.decode(output["tokens"], skip_special_tokens=True).strip()

    def _inputs(self, item: Mapping[str, Any]) -> dict[str, Any]:
        if "audio" in item:
            return {"audio": items.audio(self.dataset / item["audio"]), **items.beside(item)}
        return {"ids": np.asarray(self.ids(self.prompt(item)), np.int64)}

    def ids(self, prompt: str) -> list[int]:
        """Token ids of a user turn and the start of the answer."""
        if not self.tokenizer.chat_template:
            return self.tokenizer(prompt).input_ids
        turn = [{"role": "user", "content": prompt}]
        options = {"add_generation_prompt": True, "tokenize": False, "enable_thinking": False}
        text = self.tokenizer.apply_chat_template(turn, **options)
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def prompt(self, item: Mapping[str, Any]) -> str:
        return item["question"]

    @abstractmethod
    def truth(self, item: Mapping[str, Any]) -> Any:
        """What an output is compared with."""

    @abstractmethod
    def correct(self, text: str, truth: Any) -> bool:
        """Unparseable texts are wrong."""

    @abstractmethod
    def given(self, text: str) -> Any:
        """What a reader takes from a text: two texts that give the same are not flipped."""

    def outcome(self, output: Any, truth: Any) -> dict[str, float]:
        return {"correct": float(self.correct(self.text(output), truth))}

    def flipped(self, output: Any, reference: Any) -> bool:
        return self.given(self.text(output)) != self.given(self.text(reference))

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["correct"].mean(-1)

    def damage(self, output: Any, reference: Any) -> float:
        """Of text models the divergence per step, nats, as in `generation`; else word edits against the uncompressed
        run's text, per word of it."""
        if isinstance(output, str):
            return changed(output, reference)
        return stepwise_divergence(output, reference)
