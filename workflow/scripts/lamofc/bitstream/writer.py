"""Writing a bitstream."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc import codecs, features, packet
from lamofc.bitstream.layout import CRC, END_MAGIC, MAX_SAMPLE_ELEMENTS, claimable, pack_header, spec_to_json
from lamofc.errors import FeatureError
from lamofc.interfaces import Assets, Coder, Sample, TensorSpec
from lamofc.threads import one_thread
from lamofc.whole import partial_name


class BitstreamWriter:
    """Write samples of one stream; the file appears under its name only when it is whole.

    `codec` is an entry as in config/codecs.yaml at one point: {"codec": name, "parameters": {...}}, with an
    optional "fallback" of the same form. `asset_hashes` maps asset file names to sha256.
    """

    def __init__(
        self,
        path: Path,
        codec: Mapping[str, Any],
        specs: Sequence[TensorSpec],
        assets: Assets,
        asset_hashes: Mapping[str, str],
    ) -> None:
        self.path, self.specs = Path(path), tuple(specs)
        with one_thread():
            self.coder: Coder = codecs.coder(codec, self.specs, assets)
        self.encode_seconds = 0.0
        self._lengths: list[int] = []
        self._partial = partial_name(self.path)
        self._file = open(self._partial, "wb")  # noqa: SIM115
        header = {
            "codec": codecs.named(codec),
            "assets": dict(asset_hashes),
            "tensors": [spec_to_json(s) for s in self.specs],
            "sections": list(self.coder.sections),
        }
        self._file.write(pack_header(header))

    def add(self, sample: Sample, name: str = "sample") -> int:
        """Encode one sample, decode it again for its checksum, append the packet; returns its bytes."""
        features.check(sample, self.specs, name)
        with one_thread():
            start = time.perf_counter()
            sample = codecs.kept(self.coder, sample)
            shapes = {s.name: sample[s.name].shape for s in self.specs}
            sections = self.coder.encode(sample)
            self.encode_seconds += time.perf_counter() - start
            decoded = self.coder.decode(sections, shapes)
        features.check(decoded, self.specs, f"{name} as decoded")
        if features.elements(sample) > min(MAX_SAMPLE_ELEMENTS, claimable(sections)):
            raise FeatureError(
                f"{name}: {features.elements(sample)} elements are too many for one packet; split the sample"
            )
        data = packet.pack(
            len(self._lengths), features.lengths(sample, self.specs), sections, features.checksum(decoded, self.specs)
        )
        self._file.write(data)
        self._lengths.append(len(data))
        return len(data)

    def close(self) -> None:
        """Write the index and give the file its name."""
        index = packet.pack_index(self._lengths)
        head = struct.pack("<QII", self._file.tell(), len(index), len(self._lengths))
        self._file.write(index + head + CRC.pack(zlib.crc32(index + head)) + END_MAGIC)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._partial, self.path)

    def __enter__(self) -> BitstreamWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._partial.unlink(missing_ok=True)
