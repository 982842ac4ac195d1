"""A second decoder, from docs/bitstream.md alone: the file, the ANS stream, and the codecs identity, topk and hadamard.

Slow, plain and free of the library's code, so that both must be right for them to agree.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import zlib


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def number(data):
    return int.from_bytes(data, "little")


def read(data):
    """-> header, list of (shapes by tensor, bytes by section, checksum)."""
    packed, raw = number(data[5:9]), number(data[9:13])
    assert data[:4] == b"LMFC" and data[4] == 1 and zlib.crc32(data[: 13 + packed]) == number(data[13 + packed :][:4])
    text = zlib.decompress(data[13 : 13 + packed])
    assert len(text) == raw and data[-4:] == b"CFML"
    header, end = json.loads(text), len(data) - 24
    offset, length, count = (
        number(data[end : end + 8]),
        number(data[end + 8 : end + 12]),
        number(data[end + 12 : end + 16]),
    )
    assert offset + length == end and zlib.crc32(data[offset : end + 16]) == number(data[end + 16 : end + 20])
    packets, start, at = [], 17 + packed, offset
    for i in range(count):
        size, at = varint(data, at)
        packets.append(packet(header, i, data[start : start + size]))
        start += size
    assert start == offset and at == end
    return header, packets


def packet(header, index, data):
    assert zlib.crc32(data[:-4], index) == number(data[-4:])
    equal, at = varint(data, 0)
    ragged = sum(None in t["shape"] for t in header["tensors"])
    lengths = []
    for _ in range(min(ragged, 1) if equal else ragged):
        value, at = varint(data, at)
        lengths.append(value)
    lengths = iter(lengths * ragged if equal else lengths)
    sizes = []
    for _ in header["sections"]:
        value, at = varint(data, at)
        sizes.append(value)
    shapes = {}
    for tensor in header["tensors"]:
        length = next(lengths) if None in tensor["shape"] else None
        shapes[tensor["name"]] = [length if n is None else n for n in tensor["shape"]]
    sections = {}
    for name, size in zip(header["sections"], sizes, strict=True):
        sections[name], at = data[at : at + size], at + size
    assert at == len(data) - 8
    return shapes, sections, number(data[-8:-4])


class Ans:
    def __init__(self, data):
        padded = data + bytes(-len(data) % 4)
        self.words = [number(padded[i : i + 4]) for i in range(0, len(padded), 4)]
        self.state = self.words.pop() if self.words else 0
        if self.words:
            self.state = self.state << 32 | self.words.pop()

    def symbol(self, bounds):
        q = self.state % 2**24
        s = max(i for i in range(len(bounds) - 1) if bounds[i] <= q)
        self.state = (self.state >> 24) * (bounds[s + 1] - bounds[s]) + q - bounds[s]
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        return s

    def uniform(self, size):
        return self.uniforms(1, size)[0]

    def uniforms(self, count, size):
        if size == 1:
            return [0] * count
        if size > 2**16:
            low, high = self.uniforms(count, 2**16), self.uniforms(count, size >> 16)
            return [a | b << 16 for a, b in zip(low, high, strict=True)]
        part, out = 2**24 // size, []
        for _ in range(count):
            s = min(self.state % 2**24 // part, size - 1)
            out.append(self.symbol_between(s * part, (s + 1) * part if s < size - 1 else 2**24, s))
        return out

    def symbol_between(self, low, high, s):
        self.state = (self.state >> 24) * (high - low) + self.state % 2**24 - low
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        return s

    def done(self):
        return (self.state == 0 and not self.words) or (self.state == 2**24 and not self.words)


def bounds(frequencies):
    n, total, out, seen = len(frequencies), sum(frequencies), [], 0
    for s, f in enumerate(frequencies):
        out.append(math.floor(seen * ((2**24 - n) / total)) + s)
        seen += f
    return [*out, 2**24]


def table(t, family):
    """Bounds and reach of a table of the bank."""
    sigma, tails, shift = 2 ** ((t - 16) / 4), [1.0], {"gauss+1/4": 0.25, "gauss+1/2": 0.5}.get(family)
    while tails[-1] > 2**-15 or len(tails) < 3:
        y = len(tails) - 0.5
        tails.append(math.exp(-y * math.sqrt(2) / sigma) if family == "laplace" else math.erfc(y / sigma / 2**0.5))
    reach = len(tails) - 2
    values = range(-reach, reach + 1)
    if shift is None:
        inner = [(tails[abs(v)] - tails[abs(v) + 1]) / (2 if v else 1) for v in values]
        escape = max(tails[-1], 2**-14)
    else:
        edges = [math.erf((v - 0.5 + shift) / sigma / 2**0.5) for v in range(-reach, reach + 2)]
        inner = [max((high - low) / 2, 2**-40) for low, high in itertools.pairwise(edges)]
        escape = max(1 - sum(inner), 2**-14)
    shares = [p * (1 - escape) / sum(inner) for p in inner] + [escape]
    return bounds([max(1, round(p * 2**20)) for p in shares]), reach


def integers(ans, count):
    shares = bounds([max(1, round(0.75**k * 2**18)) for k in range(32)])
    classes, out = [ans.symbol(shares) for _ in range(count)], [0] * count
    for k in sorted(set(classes) - {0}):
        members = [i for i in range(count) if classes[i] == k]
        for i, u in zip(members, ans.uniforms(len(members), 2**k), strict=True):
            out[i] = 2**k + u - 1
    return out


def grouped(ans, count, index, family="laplace"):
    """One row."""
    if not count:
        return []
    low = max(0, (index - 40) // 4 + 1)
    below = ans.uniforms(count, 2**low)
    limits, reach = table(index - 4 * low, family)
    values = [ans.symbol(limits) - reach for _ in range(count)]
    escaped = [i for i in range(count) if values[i] > reach]
    for i, z in zip(escaped, integers(ans, len(escaped)), strict=True):
        values[i] = (z // 2 + reach + 1) * (-1 if z % 2 else 1)
    return [v * 2**low + b - 2 ** (low - 1) if low else v for v, b in zip(values, below, strict=True)]


def around(ans, count, size):
    middle, index = ans.uniform(size), ans.uniform(41)
    if index == 40:
        return [middle] * count
    return [min(max(d + middle, 0), size - 1) for d in grouped(ans, count, index)]


def indices(ans, count):
    return [min(index, 143) for index in around(ans, count, 256)]


def mask(ans, rows, count):
    levels = [min(level, 64) for level in indices(ans, rows)]
    out = [[0] * count for _ in range(rows)]
    for level in sorted(set(levels)):
        p = min(max(round(2**20 / (1 + 2 ** (-(level - 32) / 2))), 1), 2**20 - 1)
        for row in range(rows):
            if levels[row] == level:
                out[row] = [ans.symbol(bounds([2**20 - p, p])) for _ in range(count)]
    return out


def topk(data, channels, count, step):
    """(channels, positions) lists of float."""
    import struct

    ans = Ans(data)
    (rms,) = struct.unpack("<f", struct.pack("<I", ans.uniform(2**16) << 16))
    step *= rms
    step *= 2.0 ** ans.uniform(256)
    kept = mask(ans, channels, count)
    where = [(c, i) for c in range(channels) for i in range(count) if kept[c][i]]
    negative = [ans.uniform(2) for _ in where]
    (least,) = integers(ans, 1)
    index, excess = indices(ans, channels), {}
    for t in sorted({index[c] for c, _ in where}):
        members = [at for at in where if index[at[0]] == t]
        excess |= dict(zip(members, grouped(ans, len(members), t), strict=True))
    assert ans.done()
    out = [[0.0] * count for _ in range(channels)]
    for (c, i), sign in zip(where, negative, strict=True):
        f = excess[c, i]
        size = least + (2 * f if f >= 0 else -2 * f - 1)
        out[c][i] = (-size if sign else size) * step
    return out


def histogram(ans, count, size):
    if not count:
        return []
    mode = ans.uniform(5)
    if mode == 0:
        return ans.uniforms(count, size)
    if mode == 1:
        return [ans.uniform(size)] * count
    resolution, first, last, index = 2 ** (mode - 2), ans.uniform(size), ans.uniform(size), ans.uniform(40)
    limits, reach = table(index, "laplace")
    levels = list(itertools.accumulate(ans.symbol(limits) - reach for _ in range(last - first + 1)))
    weights = [round(2 ** ((level - 1) / resolution)) if level else 0 for level in levels]
    excess = max(0, sum(weights).bit_length() - 23)
    limits = bounds([max(1, w >> excess) for w in weights])
    return [ans.symbol(limits) + first for _ in range(count)]


def rotated_back(vector):
    """Inverse of the signs and Walsh-Hadamard transforms, float64."""
    n = len(vector)
    sizes = [1 << k for k in reversed(range(n.bit_length())) if n >> k & 1]
    rounds = [(b"first", sizes), (b"second", sizes[::-1])][: min(len(sizes), 2)]
    for seed, blocks in reversed(rounds):
        out = []
        for size in blocks:
            block, half = vector[len(out) : len(out) + size], 1
            while half < size:
                pairs = [(block[i & ~half], block[i | half]) for i in range(size)]
                block = [a - b if i & half else a + b for i, (a, b) in enumerate(pairs)]
                half *= 2
            out += [x * size**-0.5 for x in block]
        stream = hashlib.shake_256(seed).digest(-(-n // 8))
        vector = [-x if stream[i // 8] >> (7 - i % 8) & 1 else x for i, x in enumerate(out)]
    return vector


def lattice_points(ans, count, dimension, sigma):
    """Blocks of coordinates."""
    moved, t = histogram(ans, count, 2), min(max(round(4 * math.log2(sigma)) + 16, 0), 143)
    out = [None] * count
    for c, family in enumerate(("gauss", "gauss+1/2")):
        where = [i for i in range(count) if moved[i] == c]
        free = grouped(ans, (dimension - 1) * len(where), t, family)
        blocks = [free[k :: len(where)] for k in range(len(where))]
        for p in (0, 1):
            last = "gauss+1/4" if c else ("gauss", "gauss+1/2")[p]
            chosen = [k for k in range(len(where)) if sum(blocks[k]) % 2 == p]
            for k, h in zip(chosen, grouped(ans, len(chosen), max(t - 4, 0), last), strict=True):
                blocks[k].append(2 * (-1 - h if c and p else h) + p)
        for i, block in zip(where, blocks, strict=True):
            out[i] = [x + c / 2 for x in block]
    return out


def hadamard(payload, side, rows, width, quantiser, level):
    """Vectors of a tensor, lists of float; quantisers with an entropy coder."""
    sizes = Ans(side)
    scales = [2 ** ((s - 2048) / 16) for s in around(sizes, rows, 4096)]
    ans, count, values = Ans(payload), rows * width, []
    if quantiser != "uniform":
        dimension, scale = {"d4": (4, level * 2**-0.25), "e8": (8, level)}[quantiser]
        blocks = lattice_points(ans, count // dimension, dimension, 1 / scale)
        values = [x * scale for block in blocks for x in block]
    t = round(4 * math.log2(1 / level)) + 16
    values += [s * level for s in grouped(ans, count - len(values), t, "gauss")]
    assert ans.done() and sizes.done()
    return [[x * s for x in rotated_back(values[i * width : (i + 1) * width])] for i, s in enumerate(scales)]
