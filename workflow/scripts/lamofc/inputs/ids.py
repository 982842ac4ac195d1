"""Token ids of a prompt: what a sender would send of text, since tokenizers are shared."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lamofc.errors import BitstreamError
from lamofc.inputs import Coding

MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class InputCodec(Coding):
    """Ids as 16-bit integers, 32-bit where one needs it, deflated (RFC 1951) where that is shorter.

    level: of the deflater, 9 (default) .. 0; text has no coarser point, so that its ladder has one.
    """

    knob: ClassVar[str] = "level"
    modality: ClassVar[str] = "text"
    lossless: ClassVar[bool] = True
    level: int = 9

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        ids = np.asarray(inputs["ids"], np.int64)
        wide = bool(len(ids)) and int(ids.max()) >= 1 << 16
        raw = ids.astype("<u4" if wide else "<u2").tobytes()
        packed = zlib.compress(raw, self.level, wbits=-15)
        short = len(packed) < len(raw)
        return bytes([wide + 2 * short]) + (packed if short else raw)

    def decode(self, data: bytes) -> dict[str, Any]:
        if not data or data[0] > 3:
            raise BitstreamError("token ids start with no known form")
        raw = data[1:]
        if data[0] & 2:
            inflater = zlib.decompressobj(wbits=-15)
            raw = inflater.decompress(raw, MAX_BYTES)
            if not inflater.eof:
                raise BitstreamError("token ids are cut off, or more than allowed")
        if len(raw) % (4 if data[0] & 1 else 2):
            raise BitstreamError("token ids end within one")
        return {"ids": np.frombuffer(raw, "<u4" if data[0] & 1 else "<u2").astype(np.int64)}
