"""ELIC on one-channel planes, ready to code: transforms with attention, and a space-channel context model.

He et al., "ELIC: Efficient Learned Image Compression with Unevenly Grouped Space-Channel Contextual Adaptive
Coding" (CVPR 2022), with CompressAI's layer names. The latents are coded in groups of channels, each in two steps of a
checkerboard; each step's means and scales are predicted from the hyper-latents and from all that is decoded by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lamofc.networks import files, rans
from lamofc.networks.layers import STRIDE, apply, channel_indexes, conv, deconv, last_deconv, single_threaded, tables

Weights = Mapping[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]
CONTEXT = "latent_codec.y.channel_context"
GROUP = "latent_codec.y.latent_codec"
HYPER = "latent_codec.hyper"
_MEAN_STEP = 1 / 64  # predicted means are rounded to multiples of it, as scales are to a table
_LARGEST_MEAN = float(2 * rans.MAX_SYMBOL)


class Step(NamedTuple):
    """What both ends know before a step: which channels and positions it codes, with what tables and means."""

    channels: slice
    positions: torch.Tensor  # bool (height, width)
    indexes: np.ndarray  # (batch, channels, positions)
    means: np.ndarray


class Elic:
    """One lambda's network. Deterministic given equal batch shape; entropy parameters are computed in float64 from
    latents that both ends know exactly, since symbols are integers and means are rounded."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        weights = files.widened(arrays)
        self._scale_table = weights["scale_table"].astype(np.float64)
        self._tables = tables(weights)
        floats = {k: torch.from_numpy(v) for k, v in weights.items() if v.dtype.kind == "f"}
        self._medians = _column(floats["medians"])
        doubles = {k: v.double() for k, v in floats.items() if k.startswith("latent_codec.")}
        self._g_a = [_layer(floats, f"g_a.{i}") for i in range(15)]
        self._g_s = [_layer(floats, f"g_s.{i}", deconv) for i in range(14)] + [last_deconv(floats, "g_s.14")]
        h_a = {k: v for k, v in floats.items() if k.startswith(f"{HYPER}.h_a.")}
        self._h_a = [conv(h_a, f"{HYPER}.h_a.0", 1), F.relu, conv(h_a, f"{HYPER}.h_a.2"), F.relu,
                     conv(h_a, f"{HYPER}.h_a.4")]  # fmt: skip
        self._h_s = _hyper_synthesis(doubles)
        self._sizes = _group_sizes(doubles)
        means_first = bool(weights.get("means_first", False))
        self._groups = [_Group(doubles, k, self._sizes, means_first) for k in range(len(self._sizes))]
        gains = {n: floats.get(f"gain.{n}") for n in ("y", "y_inverse", "z", "z_inverse")}
        self._gain = {n: _column(g) if g is not None else torch.ones(1).double() for n, g in gains.items()}

    @property
    def channels(self) -> tuple[int, int]:
        """N and M: channels of z and of y."""
        return self._medians.numel(), sum(self._sizes)

    def encode(self, planes: np.ndarray) -> list[bytes]:
        """Planes (batch, height, width) with values in [0, 1), sides multiples of 16 -> one stream each."""
        with single_threaded():
            x = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[:, None]
            y = apply(self._g_a, x.to(memory_format=torch.channels_last))
            z = apply(self._h_a, y).double() * self._gain["z"] - self._medians
            z = _clipped(z.numpy())
            y = (y.double() * self._gain["y"]).contiguous()
            parts = [[(zi, channel_indexes(zi.shape), self._tables["z"])] for zi in z]

            def symbols(step: Step) -> np.ndarray:
                found = _clipped(y[:, step.channels, step.positions].numpy() - step.means)
                for part, values, at in zip(parts, found, step.indexes, strict=True):
                    part.append((values, at, self._tables["y"]))
                return found

            self._latents(z, y.shape[2:], symbols)
        return [rans.encode(part) for part in parts]

    def decode(self, payloads: Sequence[bytes], height: int, width: int) -> np.ndarray:
        """Streams of planes of this size -> (batch, height, width) float32 in [0, 1]; BitstreamError if malformed."""
        size = height // STRIDE, width // STRIDE
        n, m = self.channels
        z_shape = n, -(-size[0] // 4), -(-size[1] // 4)
        streams = [rans.Decoder(p, int(np.prod(z_shape) + m * np.prod(size))) for p in payloads]
        z = np.stack([s.take(channel_indexes(z_shape), self._tables["z"]) for s in streams])

        def symbols(step: Step) -> np.ndarray:
            return np.stack([s.take(at, self._tables["y"]) for s, at in zip(streams, step.indexes, strict=True)])

        with single_threaded():
            y_hat = self._latents(z, size, symbols).float().to(memory_format=torch.channels_last)
            return apply(self._g_s, y_hat)[:, 0].nan_to_num(0.0, 1.0, 0.0).clamp(0, 1).numpy()

    def _latents(self, z: np.ndarray, size: Sequence[int], symbols: Callable[[Step], np.ndarray]) -> torch.Tensor:
        """Rebuild the latents (batch, m, *size), float64, step by step; `symbols` finds or reads those of a step."""
        z_hat = (torch.from_numpy(z).double() + self._medians) * self._gain["z_inverse"]
        hyper = apply(self._h_s, z_hat)[:, :, : size[0], : size[1]]
        y_hat = torch.zeros(len(z), self.channels[1], *size, dtype=torch.float64)
        gain, inverse = (self._gain[n].expand(1, self.channels[1], 1, 1) for n in ("y", "y_inverse"))
        for group in self._groups:
            own = group.own
            for positions, (scales, means) in group.steps(y_hat, hyper):
                scales, means = (p * gain[:, own, :, 0] for p in (scales, means))
                means = (torch.round(means / _MEAN_STEP) * _MEAN_STEP).clamp(-_LARGEST_MEAN, _LARGEST_MEAN).numpy()
                indexes = np.searchsorted(self._scale_table[:-1], scales.numpy(), side="left")
                values = symbols(Step(own, positions, indexes, means)) + means
                y_hat[:, own, positions] = torch.from_numpy(values) * inverse[:, own, :, 0]
        return y_hat


class _Group:
    """Predicts a group of channels; all arrays are in units before the gain."""

    def __init__(self, weights: Weights, k: int, sizes: Sequence[int], means_first: bool) -> None:
        self.own = slice(sum(sizes[:k]), sum(sizes[: k + 1]))
        self._means_first = means_first
        self._spatial = conv(weights, f"{GROUP}.y{k}.context_prediction", 1)
        self._channel = [conv(weights, f"{CONTEXT}.y{k}.{i}", 1) for i in (0, 2, 4)] if k else []
        self._parameters = [_linear(weights, f"{GROUP}.y{k}.entropy_parameters.{i}") for i in (0, 2, 4)]
        self._heard = torch.arange(self.own.start)
        if k and self._channel[0].keywords["weight"].shape[1] < self.own.start:
            # A simplified variant in circulation hears the first group and the last one decoded alone.
            self._heard = torch.cat([self._heard[: sizes[0]], self._heard[-sizes[k - 1] :]])

    def steps(self, y_hat: torch.Tensor, hyper: torch.Tensor) -> Iterator[tuple[torch.Tensor, Pair]]:
        """(positions, (scales, means)) of each step; its latents must be in `y_hat` before the next is asked for.

        Positions: bool (height, width). Scales, means: (batch, channels, positions).
        """
        known = hyper
        if self._channel:
            known = torch.cat([_relu_chain(self._channel, y_hat[:, self._heard]), hyper], 1)
        rows, columns = (torch.arange(n) for n in y_hat.shape[2:])
        even = (rows[:, None] + columns) % 2 == 0
        nothing = y_hat.new_zeros(len(y_hat), self._spatial.keywords["weight"].shape[0], int(even.sum()))
        yield even, self._predict(nothing, known[:, :, even])
        if not even.all():
            yield ~even, self._predict(self._spatial(y_hat[:, self.own])[:, :, ~even], known[:, :, ~even])

    def _predict(self, context: torch.Tensor, known: torch.Tensor) -> Pair:
        found = _relu_chain(self._parameters, torch.cat([context, known], 1).transpose(1, 2)).transpose(1, 2)
        first, second = found.contiguous().chunk(2, 1)
        return (second, first) if self._means_first else (first, second)


def _group_sizes(weights: Weights) -> list[int]:
    kernels = [weights[f"{GROUP}.y{k}.context_prediction.weight"] for k in range(_count(weights, f"{GROUP}.y"))]
    return [kernel.shape[1] for kernel in kernels]


def _count(weights: Weights, prefix: str) -> int:
    """How many numbers follow a prefix, as in prefix0.weight, prefix1.weight."""
    return 1 + max(int(k.removeprefix(prefix).split(".")[0]) for k in weights if k.startswith(prefix))


def _column(values: torch.Tensor) -> torch.Tensor:
    return values.double().reshape(1, -1, 1, 1)


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), -rans.MAX_SYMBOL, rans.MAX_SYMBOL).astype(np.int64)


def _relu_chain(layers: Sequence, x: torch.Tensor) -> torch.Tensor:
    for layer in layers[:-1]:
        x = F.relu(layer(x))
    return layers[-1](x)


def _hyper_synthesis(weights: Weights) -> list:
    name = f"{HYPER}.h_s"
    last = weights[f"{name}.4.weight"]
    as_conv = len(last) == len(weights[f"{name}.4.bias"]) and last.shape[1] == len(weights[f"{name}.2.bias"])
    return [deconv(weights, f"{name}.0"), F.relu, deconv(weights, f"{name}.2"), F.relu,
            (conv if as_conv else deconv)(weights, f"{name}.4", 1)]  # fmt: skip


def _linear(weights: Weights, name: str) -> partial:
    return partial(F.linear, weight=weights[f"{name}.weight"][:, :, 0, 0], bias=weights[f"{name}.bias"])


def _layer(weights: Weights, name: str, resample: Callable = conv) -> Callable:
    if f"{name}.conv1.weight" in weights:
        return partial(_residual, layers=[conv(weights, f"{name}.conv{i}", 1) for i in (1, 2, 3)])
    if f"{name}.conv_b.3.weight" in weights:
        branches = [[_unit(weights, f"{name}.conv_{c}.{i}") for i in range(3)] for c in "ab"]
        return partial(_attention, values=branches[0], gates=[*branches[1], conv(weights, f"{name}.conv_b.3", 1)])
    return resample(weights, name)


def _unit(weights: Weights, name: str) -> Callable:
    inner = partial(_residual, layers=[conv(weights, f"{name}.conv.{i}", 1) for i in (0, 2, 4)])
    return lambda x: F.relu(inner(x))


def _residual(x: torch.Tensor, layers: Sequence) -> torch.Tensor:
    return x + _relu_chain(layers, x)


def _attention(x: torch.Tensor, values: Sequence, gates: Sequence) -> torch.Tensor:
    return x + apply(values, x) * torch.sigmoid(apply(gates, x))
