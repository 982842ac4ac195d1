"""The scale hyperprior on one-channel planes, ready to code: transforms, entropy parameters, bytes.

Balle et al., "Variational image compression with a scale hyperprior" (ICLR 2018), with CompressAI's layer
names. A ladder may share its weights, with gains per lambda ("Asymmetric gained deep image compression", Cui et al.,
CVPR 2021); the gains are multiplied into the weights when a lambda is loaded, so each lambda is a plain network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from lamofc.networks import files, rans
from lamofc.networks.layers import STRIDE, apply, channel_indexes, conv, deconv, last_deconv, single_threaded, tables

Arrays = Mapping[str, np.ndarray]
_PEDESTAL = 2.0**-36  # of the GDN parametrisation: parameter = max(stored, bound)^2 - pedestal
_BETA_MIN = 1e-6


def fold_gains(arrays: Arrays) -> dict[str, np.ndarray]:
    """Float32 weights of one lambda with its gains multiplied in (none: as they are). Tables stay integers."""
    out = files.widened(arrays)
    if "gain.y" not in out:
        return out
    y, y_inverse, z, z_inverse = (out.pop(f"gain.{n}") for n in ("y", "y_inverse", "z", "z_inverse"))
    column = (-1, 1, 1, 1)
    for layer, gain in (("g_a.6", y), ("h_a.4", z), ("h_s.4", y)):
        out[f"{layer}.weight"] = out[f"{layer}.weight"] * gain.reshape(column)
        out[f"{layer}.bias"] = out[f"{layer}.bias"] * gain
    out["h_a.0.weight"] = out["h_a.0.weight"] / y.reshape(1, -1, 1, 1)
    out["g_s.0.weight"] = out["g_s.0.weight"] * y_inverse.reshape(column)
    out["h_s.0.weight"] = out["h_s.0.weight"] * z_inverse.reshape(column)
    return out


class ScaleHyperprior:
    """One lambda's network. Deterministic given equal batch shape; entropy parameters are computed in float64 and
    rounded to table numbers, which makes a difference between two machines' rounding harmless but for rare ties."""

    def __init__(self, arrays: Arrays) -> None:
        weights = fold_gains(arrays)
        self._medians = torch.from_numpy(weights["medians"]).double().reshape(1, -1, 1, 1)
        self._scale_table = weights["scale_table"].astype(np.float64)
        self._tables = tables(weights)
        floats = {k: torch.from_numpy(v) for k, v in weights.items() if v.dtype.kind == "f"}
        self._g_a = [conv(floats, "g_a.0"), _gdn(floats, "g_a.1"), conv(floats, "g_a.2"), _gdn(floats, "g_a.3"),
                     conv(floats, "g_a.4"), _gdn(floats, "g_a.5"), conv(floats, "g_a.6")]  # fmt: skip
        self._g_s = [deconv(floats, "g_s.0"), _gdn(floats, "g_s.1", True), deconv(floats, "g_s.2"),
                     _gdn(floats, "g_s.3", True), deconv(floats, "g_s.4"), _gdn(floats, "g_s.5", True),
                     last_deconv(floats, "g_s.6")]  # fmt: skip
        self._h_a = [conv(floats, "h_a.0", 1), F.relu, conv(floats, "h_a.2"), F.relu, conv(floats, "h_a.4")]
        doubles = {k: v.double() for k, v in floats.items() if k.startswith("h_s.")}
        self._h_s = [deconv(doubles, "h_s.0"), F.relu, deconv(doubles, "h_s.2"), F.relu,
                     conv(doubles, "h_s.4", 1), F.relu]  # fmt: skip

    def encode(self, planes: np.ndarray) -> list[bytes]:
        """Planes (batch, height, width) with values in [0, 1), sides multiples of 16 -> one stream each."""
        with single_threaded():
            x = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[:, None]
            y = apply(self._g_a, x.to(memory_format=torch.channels_last))
            z = torch.round(apply(self._h_a, y.abs()).double() - self._medians).numpy().astype(np.int64)
            y_symbols = torch.round(y).clamp(-rans.MAX_SYMBOL, rans.MAX_SYMBOL).numpy().astype(np.int64)
            z = np.clip(z, -rans.MAX_SYMBOL, rans.MAX_SYMBOL)
            indexes = self._y_indexes(z, y.shape[2:])
        z_indexes = channel_indexes(z.shape[1:])
        z_table, y_table = self._tables["z"], self._tables["y"]
        triples = zip(z, y_symbols, indexes, strict=True)
        return [rans.encode([(zi, z_indexes, z_table), (yi, at, y_table)]) for zi, yi, at in triples]

    def decode(self, payloads: Sequence[bytes], height: int, width: int) -> np.ndarray:
        """Streams of planes of this size -> (batch, height, width) float32 in [0, 1]; BitstreamError if malformed."""
        y_shape = (self.channels[1], height // STRIDE, width // STRIDE)
        z_shape = (self.channels[0], -(-y_shape[1] // 4), -(-y_shape[2] // 4))
        streams = [rans.Decoder(p, int(np.prod(y_shape) + np.prod(z_shape))) for p in payloads]
        z_indexes = channel_indexes(z_shape)
        z = np.stack([s.take(z_indexes, self._tables["z"]) for s in streams])
        with single_threaded():
            indexes = self._y_indexes(z, y_shape[1:])
            y = np.stack([s.take(i, self._tables["y"]) for s, i in zip(streams, indexes, strict=True)])
            y_hat = torch.from_numpy(y.astype(np.float32)).to(memory_format=torch.channels_last)
            planes = apply(self._g_s, y_hat)[:, 0].nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
            return planes.numpy()

    @property
    def channels(self) -> tuple[int, int]:
        """N and M: channels of z and of y."""
        return self._medians.numel(), int(self._g_a[-1].keywords["weight"].shape[0])

    def _y_indexes(self, z: np.ndarray, size: Sequence[int]) -> np.ndarray:
        z_hat = torch.from_numpy(z).double() + self._medians
        scales = apply(self._h_s, z_hat)[:, :, : size[0], : size[1]].numpy()
        return np.searchsorted(self._scale_table[:-1], scales, side="left")


def _gdn(weights: Mapping[str, torch.Tensor], name: str, inverse: bool = False) -> partial:
    beta = weights[f"{name}.beta"].clamp(min=(_BETA_MIN + _PEDESTAL) ** 0.5) ** 2 - _PEDESTAL
    gamma = weights[f"{name}.gamma"].clamp(min=_PEDESTAL**0.5) ** 2 - _PEDESTAL
    return partial(_normalise, beta=beta, gamma=gamma[:, :, None, None], inverse=inverse)


def _normalise(x: torch.Tensor, beta: torch.Tensor, gamma: torch.Tensor, inverse: bool) -> torch.Tensor:
    norm = F.conv2d(x * x, gamma, beta)
    return x * (torch.sqrt(norm) if inverse else torch.rsqrt(norm))
