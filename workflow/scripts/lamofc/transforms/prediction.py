"""Which tensors of a sample are predicted from which, and the linear maps that do it.

Keys and values of a layer and the output after it are functions of the same token's hidden state, so what is decoded
of one layer foretells the next. Only tensors that are decoded already are used, as decoded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.interfaces import TensorSpec

_RANK = {"key": 0, "value": 1, "tokens": 2}


def order(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Specs in coding order: by layer; in a layer keys, values, then the output; what has no layer last."""
    known = [s for s in specs if s.layer is not None and s.kind in _RANK]
    rest = [s for s in specs if s.layer is None or s.kind not in _RANK]
    return sorted(known, key=lambda s: (s.layer, _RANK[s.kind])) + rest


def sources(spec: TensorSpec, specs: Sequence[TensorSpec]) -> list[str]:
    """Names of the tensors that `spec` is predicted from, all of them earlier in `order`."""
    if spec.layer is None or spec.kind not in _RANK:
        return []
    here = [s for s in specs if s.layer == spec.layer and s.kind in _RANK and _RANK[s.kind] < _RANK[spec.kind]]
    earlier = [s for s in specs if s.layer is not None and s.layer < spec.layer and s.kind in _RANK]
    last = max((s.layer for s in earlier), default=None)
    kinds = ("tokens",) if spec.kind == "tokens" and not here else ("key", "value")
    before = [s for s in earlier if s.layer == last and s.kind in kinds]
    return [
        s.name
        for s in order([*before, *here])
        if (s.attributes.get("grid") is None) == (spec.attributes.get("grid") is None)
    ]


def regression(targets: np.ndarray, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Linear map (targets, inputs) that foretells centred targets (a, n) from centred inputs (b, n).

    noise (b, b): covariance of the error that the inputs carry once decoded; it keeps the map from leaning on
    directions that will not survive quantisation.
    """
    wide, count = inputs.astype(np.float64), max(1, inputs.shape[1])
    moments = wide @ wide.T / count + noise
    moments[np.diag_indices_from(moments)] += 1e-6 * np.trace(moments) / max(1, len(moments)) + 1e-30
    return np.linalg.solve(moments, wide @ targets.astype(np.float64).T / count).T
