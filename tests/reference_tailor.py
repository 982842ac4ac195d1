"""The second decoder's part for `tailor` without contexts, from docs/bitstream.md alone, in Python's integers.

Tensors are float32, `keys`, `values` and `tokens`, or a latent; none is coded without its profile.
"""

from __future__ import annotations

import math

import numpy as np
from reference_decoder import Ans, integers, table

RANK = {"key": 0, "value": 1, "tokens": 2}


def shifted(x, bits):
    """x / 2^bits to the nearest integer, ties to even."""
    if bits <= 0:
        return x << -bits
    q, r = divmod(x, 1 << bits)
    return q + (r > 1 << (bits - 1) or (r == 1 << (bits - 1) and q & 1))


SHIFTED = np.frompyfunc(shifted, 2, 1)
SCALED = np.frompyfunc(lambda x, factor: round(float(x) * factor), 2, 1)


def product(matrix, x):
    """Integers, and the power of two that they have lost."""
    if not x.size or not matrix.size:
        return matrix @ x, 0
    most = float(abs(x).max()) * float(abs(matrix).sum(1).max())
    lost = max(0, math.frexp(most)[1] - 52)
    return matrix @ SHIFTED(x, lost), lost


def integer_matrix(array, bits):
    wide = array.astype(np.float64)
    shift = bits - math.frexp(abs(wide).max(initial=0))[1]
    return np.frompyfunc(lambda x: round(math.ldexp(x, shift)), 1, 1)(wide), shift


def cells(ans, indices):
    """One value for each index."""
    order = sorted(range(len(indices)), key=lambda i: indices[i])
    runs = [(t, [i for i in order if indices[i] == t]) for t in sorted(set(indices))]
    low = {t: max(0, (t - 40) // 4 + 1) for t, _ in runs}
    below, out, escaped = {}, {}, []
    for t, places in runs:
        below |= dict(zip(places, ans.uniforms(len(places), 2 ** low[t]), strict=True))
    for t, places in runs:
        limits, reach = table(t - 4 * low[t], "laplace")
        for i in places:
            out[i] = ans.symbol(limits) - reach
            if out[i] > reach:
                escaped.append((i, reach))
    for (i, reach), z in zip(escaped, integers(ans, len(escaped)), strict=True):
        out[i] = (z // 2 + reach + 1) * (-1 if z % 2 else 1)
    for i, t in enumerate(indices):
        out[i] = out[i] * 2 ** low[t] + below[i] - 2 ** (low[t] - 1) if low[t] else out[i]
    return [out[i] for i in range(len(indices))]


def coefficients(ans, known):
    used = [ans.uniform(1 << len(k).bit_length()) for k in known]
    places = []
    for m, (k, n) in enumerate(zip(known, used, strict=True)):
        rows = sorted(range(len(k)), key=lambda r: -sum(k[r]))[:n]
        places += [(m, r, c) for r in rows for c in range(len(k[r]))]
    out = [np.zeros(np.shape(k), object) for k in known]
    for (m, r, c), value in zip(places, cells(ans, [known[m][r][c] for m, r, c in places]), strict=True):
        out[m][r, c] = value
    return out


class Tensor:
    def __init__(self, fields, shape, assets, step):
        self.fields, self.shape, self.kind = fields, shape, fields["kind"]
        self.own = {k.split("/")[1]: v for k, v in assets.items() if k.split("/")[0] == fields["name"]}
        self.first, self.block = len(self.own["first"]), [int(n) for n in self.own["block"]]
        self.size = self.block[0] * self.block[1]
        self.count = {"latent": math.prod(shape[1:]), "tokens": shape[0]}.get(self.kind, shape[-2])
        self.apart = min(self.first, self.count)
        self.rest = (self.count - self.apart) % self.size
        self.matrix, self.shift = integer_matrix(self.own["synthesis"], 17)
        scale = float(self.own["scale"][0])
        mean_square = float(int((self.matrix**2).sum())) / len(self.matrix)
        plain = step * math.ldexp(scale, -self.shift) * math.sqrt(mean_square)
        self.unit, self.factor = max(math.frexp(plain / 256)[1] - 1, -149), scale * float(np.float32(step))
        self.offset = 16 - 128 - round(4 * math.log2(step))

    def known(self):
        whole = self.count - self.apart - self.rest
        where = [i % self.size for i in range(whole)] + [i * self.size // self.rest for i in range(self.rest)]
        levels = np.concatenate([self.own["first_levels"][:, : self.apart], self.own["levels"][:, where]], 1)
        return np.clip(levels.astype(int) + self.offset, 0, 143).tolist()

    def weights(self):
        out, last = [1.0] * self.count, self.own["weights"][self.first :][: self.count].tolist()
        out[self.count - len(last) :] = last[::-1]
        out[: self.apart] = self.own["weights"][: self.apart].tolist()
        return out

    def values(self, symbols):
        """After the inverse DCT, in 2^-12."""
        out, a = symbols.astype(object), self.apart
        parts = [(i, *self.block) for i in range(a, self.count - self.rest, self.size)] if self.size > 1 else []
        for start, rows, columns in parts + ([(self.count - self.rest, 1, self.rest)] if self.rest else []):
            for row in out:
                row[start : start + rows * columns] = inverse(row[start : start + rows * columns], rows, columns)
        return SCALED(out, np.array([4096.0 / w for w in self.weights()]))

    def restore(self, symbols, foretold):
        found, lost = product(self.matrix, self.values(symbols))
        return SCALED(found, math.ldexp(self.factor, lost - self.shift - 12 - self.unit)) + foretold

    def foretold(self, sources, restored):
        if not self.own["predict"].shape[1]:
            return 0
        powers = np.concatenate([np.full(len(s.matrix), 2.0 ** (s.unit - self.unit)) for s in sources])
        matrix, shift = integer_matrix(self.own["predict"].astype(np.float64) * powers, 16)
        found, lost = product(matrix, np.concatenate(restored))
        return SHIFTED(found, shift - lost)

    def finished(self, restored):
        rows = (restored.astype(np.float64) * 2.0**self.unit).astype(np.float32)
        mean = np.repeat(self.own["mean"].astype(np.float32)[:, None], self.count, 1)
        mean[:, : self.apart] = self.own["first"].T[:, : self.apart]
        rows = rows + mean
        if self.kind == "latent":
            return rows.reshape(self.shape)
        if self.kind == "tokens":
            return rows.T
        heads = rows.reshape(self.shape[0], self.shape[2], self.count)
        theta = self.fields.get("attributes", {}).get("rope_theta")
        return (turned(heads, theta) if theta else heads).transpose(0, 2, 1)


def inverse(row, rows, columns):
    """Of one block; sums of so few and small numbers need no bits dropped. Multiples of 2^-28, as float64 has them."""
    first = basis(columns)
    if rows == 1:
        return [float(x) * 2.0**-14 for x in row @ first]
    between = SHIFTED(row.reshape(rows, columns) @ first, 2)
    return [float(x) * 2.0**-26 for x in (basis(rows).T @ between).ravel()]


def basis(n):
    rows = [
        [math.sqrt((2 if k else 1) / n) * math.cos(math.pi * k * (2 * i + 1) / (2 * n)) for i in range(n)]
        for k in range(n)
    ]
    return np.array([[round(2**14 * x) for x in row] for row in rows], object).reshape(n, n)


def turned(heads, theta):
    half = heads.shape[1] // 2
    frequency = [float(np.float32(theta ** (-i / half))) for i in range(half)]
    cosine, sine = (
        np.array([[f(w * t) for t in range(heads.shape[2])] for w in frequency], np.float64).astype(np.float32)
        for f in (math.cos, math.sin)
    )
    a, b = heads[:, :half], heads[:, half:]
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], 1)


def tailor(data, header, shapes, assets):
    """Section of a packet -> arrays by tensor."""
    step, ans = header["codec"]["parameters"]["step"], Ans(data)
    all_of = [Tensor(t, shapes[t["name"]], assets, step) for t in header["tensors"]]
    placed = [t for t in all_of if t.kind in RANK]
    order = sorted(placed, key=lambda t: (t.fields["layer"], RANK[t.kind])) + [t for t in all_of if t.kind not in RANK]
    assert not any(ans.uniform(2) for _ in order)
    alike, symbols, restored = {}, {}, {}
    for t in order:
        alike.setdefault((t.count, t.first, *t.block), []).append(t)
    for members in alike.values():
        found = coefficients(ans, [t.known() for t in members])
        symbols |= {t.fields["name"]: s for t, s in zip(members, found, strict=True)}
    assert ans.done()
    for i, t in enumerate(order):
        caches = [s for s in order[:i] if s.kind != "tokens" and s.fields["layer"] >= t.fields["layer"] - 1]
        foretold = t.foretold(caches, [restored[s.fields["name"]] for s in caches])
        restored[t.fields["name"]] = t.restore(symbols[t.fields["name"]], foretold)
    return {t.fields["name"]: t.finished(restored[t.fields["name"]]) for t in order}
