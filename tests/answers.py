"""What every model that offers `scores` must do: its gradients are those of the answer that the task measures."""

from __future__ import annotations

import numpy as np
import torch

from lamofc.models.torch_arrays import to_torch

STEPS = (1e-2, 1e-3, 1e-4)  # of the features' size: the first bends, the last is lost in the rounding of single floats


def check(model, measure, sample, side):
    """The slope of a random projection of the measured answer, by its gradient and by differences of one of the
    sizes, up the gradient and a random way besides; every tensor has a say."""
    received = {k: to_torch(np.array(v))[None].float().requires_grad_() for k, v in sample.items()}
    rng = torch.Generator().manual_seed(0)
    answer = measure(model.scores(received, [side]))
    projection = torch.randn(answer.shape, generator=rng)
    gradients = torch.autograd.grad(answer, list(received.values()), projection)
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients)
    ways = [_unit([torch.randn(g.shape, generator=rng) for g in gradients]), _unit(gradients)]
    way = [a + b for a, b in zip(*ways, strict=True)]

    def along(size):
        moved = {k: x.detach() + size * w for (k, x), w in zip(received.items(), way, strict=True)}
        with torch.no_grad():
            return float((measure(model.scores(moved, [side])).double() * projection).sum())

    sizes = [s * max(1.0, float(torch.cat([x.detach().flatten() for x in received.values()]).norm())) for s in STEPS]
    found = np.array([(along(size) - along(-size)) / (2 * size) for size in sizes])
    wanted = sum(float((g.double() * w).sum()) for g, w in zip(gradients, way, strict=True))
    assert np.abs(found / wanted - 1).min() < 0.03, (found, wanted)


def _unit(tensors):
    size = torch.cat([t.flatten() for t in tensors]).norm()
    return [t / size for t in tensors]
