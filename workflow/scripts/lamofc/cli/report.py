"""Where the bytes of a bitstream went: payload and side information of each tensor, framing of the file."""

from __future__ import annotations

import math
from typing import Any

from lamofc.bitstream import VERSION, BitstreamReader
from lamofc.interfaces import JOINT

SHARED = "(shared)"


def describe(reader: BitstreamReader) -> dict[str, Any]:
    """JSON-ready; byte counts add up to the file's size. Sections `<tensor>/<what>` are side information."""
    names = [s.name for s in reader.specs]
    tensors = {n: {"payload": 0, "side": {}, "elements": 0} for n in [*names, SHARED]}
    packet_framing = 0
    for i in range(len(reader)):
        found = reader.packet(i)
        packet_framing += reader.packet_bytes(i) - sum(map(len, found.sections))
        for name, shape in reader.shapes(i).items():
            tensors[name]["elements"] += math.prod(shape)
        for section, data in zip(reader.sections, found.sections, strict=True):
            _count(tensors, section, len(data))
    if not tensors[SHARED]["payload"] and not tensors[SHARED]["side"]:
        del tensors[SHARED]
    specs = {s.name: {"kind": s.kind, "dtype": s.dtype, "shape": list(s.shape), "layer": s.layer} for s in reader.specs}
    return {
        "file": str(reader.path),
        "bytes": reader.path.stat().st_size,
        "version": VERSION,
        "codec": reader.header["codec"],
        "assets": reader.header["assets"],
        "samples": len(reader),
        "elements": sum(t["elements"] for t in tensors.values()),
        "tensors": {name: specs.get(name, {}) | counts for name, counts in tensors.items()},
        "framing": {"header": reader.header_bytes, "packets": packet_framing, "index": reader.index_bytes},
    }


def _count(tensors: dict[str, Any], section: str, size: int) -> None:
    owner, _, what = section.partition("/")
    holder = tensors[owner if owner in tensors else SHARED]
    if owner not in tensors and section != JOINT:
        what = section
    if what:
        holder["side"][what] = holder["side"].get(what, 0) + size
    else:
        holder["payload"] += size


def text(found: dict[str, Any]) -> str:
    """The same for people."""
    side = sum(sum(t["side"].values()) for t in found["tensors"].values())
    payload = sum(t["payload"] for t in found["tensors"].values())
    lines = [
        f"{found['file']}: {found['bytes']} bytes, {found['samples']} samples, {found['elements']} feature points, "
        f"{8 * found['bytes'] / max(found['elements'], 1):.4f} bits per feature point",
        f"version {found['version']}, codec {_codec(found['codec'])}",
        *(f"asset {name}: sha256 {sha}" for name, sha in found["assets"].items()),
        "",
        f"{'tensor':24} {'kind':10} {'dtype':9} {'shape':18} {'payload':>10} {'side':>8} {'bits/point':>11}",
        *(_line(name, tensor) for name, tensor in found["tensors"].items()),
        "",
        f"payload {_share(payload, found)}, side information {_share(side, found)}, "
        f"framing {_share(sum(found['framing'].values()), found)} "
        f"({', '.join(f'{k} {v}' for k, v in found['framing'].items())})",
    ]
    return "\n".join(lines)


def _codec(entry: dict[str, Any]) -> str:
    values = ", ".join(f"{k}={v}" for k, v in entry.get("parameters", {}).items())
    fallback = f"; fallback {_codec(entry['fallback'])}" if "fallback" in entry else ""
    return f"{entry['codec']} ({values}){fallback}"


def _line(name: str, tensor: dict[str, Any]) -> str:
    side = sum(tensor["side"].values())
    shape = "x".join("n" if n is None else str(n) for n in tensor.get("shape", []))
    bits = 8 * (tensor["payload"] + side) / max(tensor["elements"], 1)
    parts = f"  ({', '.join(f'{k} {v}' for k, v in tensor['side'].items())})" if tensor["side"] else ""
    kind, dtype = tensor.get("kind", "-"), tensor.get("dtype", "-")
    return f"{name:24} {kind:10} {dtype:9} {shape:18} {tensor['payload']:10d} {side:8d} {bits:11.4f}{parts}"


def _share(count: int, found: dict[str, Any]) -> str:
    return f"{count} bytes ({100 * count / found['bytes']:.2f} %)"
