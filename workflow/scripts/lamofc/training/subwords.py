"""A small byte-level BPE tokenizer, trained on given texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

END = "<|endoftext|>"  # before every text and after it


def train(texts: Iterable[str], size: int) -> Any:
    """-> `tokenizers.Tokenizer` of `size` entries that puts END before a text.

    Digits stand alone, so that arithmetic sees places; a word at the start of a later line is spelt as inside
    one, with a space before it. The same texts in the same order give the same tokenizer.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(Regex("\n(?=[A-Za-z])"), "\n ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("\n ", "\n")])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])
    return tokenizer


def save(tokenizer: Any, folder: Any) -> None:
    """Write what `transformers.AutoTokenizer` reads."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    ).save_pretrained(folder)
