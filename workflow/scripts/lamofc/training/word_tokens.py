"""Tokenizers for captions of few words, in the formats that CLIP and T5 encoders are published with."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

START, END = "<|startoftext|>", "<|endoftext|>"


def clip(texts: Sequence[str], length: int) -> Any:
    """A CLIPTokenizer of byte pairs, merged until every word of the texts is one token; other words go by letters."""
    from transformers import CLIPTokenizer

    bare = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    letters = list(string.ascii_lowercase)
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, min_frequency=1, show_progress=False, initial_alphabet=letters, end_of_word_suffix="</w>"
    )
    bare.train_from_iterator(sorted(texts), trainer)
    learnt = json.loads(bare.to_str())["model"]
    known = [START, END, *letters, *(c + "</w>" for c in letters)]
    known += [t for t in sorted(learnt["vocab"], key=learnt["vocab"].get) if t not in known]
    vocabulary = {token: i for i, token in enumerate(known)}
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(m) for m in learnt["merges"]], model_max_length=length)


def t5(texts: Sequence[str], length: int) -> Any:
    """A T5TokenizerFast whose pieces are the words of the texts, and letters."""
    from transformers import T5TokenizerFast

    words = sorted({w for t in texts for w in t.lower().split()})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0), *(("▁" + w, -2.0) for w in words)]
    pieces += [(c, -9.0) for c in string.ascii_lowercase]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=length)
