"""Byte pair vocabularies in the format of tiktoken, lines of `<base64 of the bytes> <rank>`, as fast tokenizers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from lamofc.errors import LamofcError

# Words as Qwen's tokenizers cut them before pairs are merged.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class VocabularyError(LamofcError):
    """A vocabulary file that is damaged or of another format."""


def read_ranks(path: Path) -> dict[bytes, int]:
    try:
        pairs = (line.split() for line in Path(path).read_bytes().splitlines() if line.strip())
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (ValueError, binascii.Error) as error:
        raise VocabularyError(f"{path}: not lines of `<base64> <rank>` ({error}); fetch it again") from error


def merges(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair that makes each token of several bytes, in order of rank.

    A token's parts are what its bytes become when only lower ranks are known.
    """
    return [_parts(token, rank, ranks) for token, rank in sorted(ranks.items(), key=lambda t: t[1]) if len(token) > 1]


def _parts(token: bytes, rank: int, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    pieces = [bytes([b]) for b in token]
    while len(pieces) > 2:
        known = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(pairwise(pieces))]
        lowest, i = min(known)
        if lowest >= rank:
            raise VocabularyError(f"token {token!r} of rank {rank} is no pair of tokens of lower ranks")
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces[0], pieces[1]


def write_tokenizer(
    ranks: Mapping[bytes, int], special: Mapping[str, int], folder: Path, pattern: str = PATTERN
) -> None:
    """tokenizer.json and tokenizer_config.json; ids are ranks, special tokens have the ids they are given."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    spelled = _spelling()
    vocabulary = {"".join(spelled[b] for b in token): rank for token, rank in ranks.items()}
    pairs = [tuple("".join(spelled[b] for b in part) for part in pair) for pair in merges(ranks)]
    vocabulary |= special
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def _spelling() -> list[str]:
    """A printable character for each byte, as byte-level vocabularies write them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]
