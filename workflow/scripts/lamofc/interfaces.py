"""The contracts of the project: tensors that cross a split, codecs, models, tasks.

Read this file first. A plug-in is one file whose class is named `Codec`, `Model` or `Task`;
file name = name in the config = name in result paths.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from lamofc.errors import ConfigError

KINDS = ("tokens", "key", "value", "ssm", "conv", "latent", "embedding", "pooled")
JOINT = "*"  # section that holds the payload of all tensors of a codec together
NATIVE_DTYPES = ("float32", "float16", "bfloat16")

Sample = dict[str, np.ndarray]  # tensor name -> array in native dtype and natural shape
Assets = Mapping[str, np.ndarray]  # what a decoder holds before any bitstream arrives


@dataclass(frozen=True)
class TensorSpec:
    """What is known of one tensor before any sample is seen.

    `shape` is the natural shape of one sample's tensor; at most one entry is None and marks the
    ragged axis, whose length differs from sample to sample:
    tokens (None, channels), key and value (heads, None, head_dim), ssm (channels, state),
    conv (channels, width), latent (channels, height, width), embedding (tokens, channels),
    pooled (channels,).
    `layer` is the depth of the layer or block that made the tensor. `attributes` holds JSON scalars
    and lists a codec may use: `rope_theta` on keys, `grid` [rows, columns] and `prefix` (number of
    tokens before the grid) on vision tokens.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int | None, ...]
    layer: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.name) or self.name == "lengths":
            raise ConfigError(
                f"tensor name {self.name!r}: use letters, digits, dot, dash and underscore; not 'lengths'"
            )
        if self.kind not in KINDS:
            raise ConfigError(f"tensor {self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.dtype not in NATIVE_DTYPES:
            raise ConfigError(f"tensor {self.name}: dtype {self.dtype!r} is none of {', '.join(NATIVE_DTYPES)}")
        if not self.shape:
            raise ConfigError(f"tensor {self.name}: shape () has no axis; a single number has shape (1,)")
        if self.shape.count(None) > 1:
            raise ConfigError(f"tensor {self.name}: shape {self.shape} has more than one ragged axis")
        theta = self.attributes.get("rope_theta", 1.0)
        if type(theta) not in (int, float) or not 1 <= theta < float("inf"):
            raise ConfigError(f"tensor {self.name}: rope_theta {theta!r} is no finite number of 1 or more")

    @property
    def ragged_axis(self) -> int | None:
        return self.shape.index(None) if None in self.shape else None

    @property
    def channels(self) -> int:
        """Features of one token: heads x head_dim for keys and values, the last axis otherwise."""
        if self.kind in ("key", "value"):
            return self.shape[0] * self.shape[2]
        return self.shape[0] if self.kind in ("ssm", "conv", "latent") else self.shape[-1]

    def resolve(self, length: int) -> tuple[int, ...]:
        """The natural shape of a sample whose ragged axis has `length` entries."""
        return tuple(length if n is None else n for n in self.shape)


class Coder(Protocol):
    """A codec at one operating point, made ready for one stream: tables built, assets loaded.

    `sections` names the byte strings of a packet in their order, fixed for the stream.
    By convention `<tensor>` is the payload of a tensor and `<tensor>/<what>` its side information; JOINT is the
    payload of all of them. `earlier_sections`, if there are any, are those of streams that earlier versions wrote.
    Coders of a codec that `evicts` have a method `kept(sample)` -> the sample with shorter ragged axes, which is what
    `encode` takes and `decode` gives back (`codecs.kept`).
    """

    sections: Sequence[str]

    def encode(self, sample: Sample) -> list[bytes]:
        """One sample -> one byte string per section. Never looks at other samples."""

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        """The inverse, from bytes, shapes and assets alone; native dtypes and natural shapes.

        Raises BitstreamError on bytes that no encoder wrote; never allocates more than the shapes ask for.
        """


@dataclass(frozen=True)
class Codec(ABC):
    """A codec's parameters; its dataclass fields are its keys in config/codecs.yaml.

    knob: the field that the ladder varies (rate falls along the ladder).
    kinds: tensor kinds it codes; the rest of a sample goes to the fallback that the config names.
    fitted: whether `fit` must run on calibration features before the codec can be used.
    lossless: whether decode(encode(x)) equals x bit for bit.
    evicts: whether what is decoded may have fewer tokens than what was encoded; only a tail can judge that.
    family: marker and colour in figures, e.g. "numeric", "learned", "kv", "image", "scientific".
    unnamed: values of parameters in streams whose header does not name them, where these are no longer the defaults.
    """

    knob: ClassVar[str]
    family: ClassVar[str]
    kinds: ClassVar[frozenset[str]] = frozenset(KINDS)
    fitted: ClassVar[bool] = False
    lossless: ClassVar[bool] = False
    evicts: ClassVar[bool] = False
    unnamed: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Calibration features -> decoder assets, shared by all points of the ladder. Deterministic."""
        return {}

    @abstractmethod
    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        """Make the codec ready for a stream of samples with these tensors."""


@dataclass(frozen=True)
class Example:
    """One sample of a task as the model takes it.

    inputs: what the head reads (pixels, token ids, waveform features).
    side: what the receiver has without being sent features (image size, option token ids);
    it is listed in the feature store and its bytes are counted there.
    truth: what the score compares with; never shown to a model.
    """

    id: str
    inputs: dict[str, Any]
    side: dict[str, Any]
    truth: Any


class Model(Protocol):
    """A model cut at a split point. All methods take and return lists over samples.

    `tail(head(x), side)` equals `unsplit(x, side)` bit for bit at equal batch composition.
    A model whose samples take hundreds of megabytes says with an attribute `block` how many are held at a time.
    Calibration through the tail asks for two methods more, both with gradients and of one sample as a batch of torch
    tensors: `last_feature(received, side)` -> the tail's last feature; optional `scores(received, side)` -> what the
    outputs are decided from, logits or log-probabilities along the last axis, or the values themselves.
    """

    specs: Sequence[TensorSpec]

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]: ...

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[Any]: ...

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[Any]: ...


class Task(Protocol):
    """A data set and the score of a model's outputs on it.

    metric, unit, higher_is_better, chance: for axes and tables. `chance` is None where undefined.
    damage_name: what `damage` is, with its unit, for axes; may be left out.
    modality: image, audio or text: what the model's inputs are, for codecs of inputs; None: there are none.
    """

    metric: str
    unit: str
    higher_is_better: bool
    chance: float | None
    damage_name: str
    modality: str | None

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        """Samples of `part` ("calibration" or "test") in a fixed order."""

    def outcome(self, output: Any, truth: Any) -> dict[str, float]:
        """One sample's contribution: numbers that `score` aggregates, e.g. {"correct": 1.0}."""

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        """Outcomes (..., samples) -> scores (...): the bootstrap calls it on many resamples at once."""

    def flipped(self, output: Any, reference: Any) -> bool:
        """Whether an output differs, as a user would see it, from the uncompressed run's output."""

    def damage(self, output: Any, reference: Any) -> float:
        """How far an output is from the uncompressed run's: 0 when equal, finer than flips."""

    # Optional, for codecs tuned to the task's own answer (stages/sensitivity.py), where the model has `scores`:
    # measure(scores) -> tensor with gradients in which a small squared distance is the damage (tasks/measures.py).
    # Optional, for measures that are no function of single samples, such as distances of distributions:
    # record(output, reference, truth) -> what is kept of a sample; set_columns(records) -> {column: number}.
