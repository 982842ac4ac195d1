"""What every model that offers `scores` must do: its gradients are those of the answer that the task measures."""

from __future__ import annotations

import numpy as np
import torch

from lamofc.models.torch_arrays import to_torch

STEP = 1e-3


def check(model, measure, sample, side, rtol=0.03):
    """The slope of a random projection of the measured answer, by its gradient and by differences, up the gradient
    and a random way besides; every tensor has a say."""
    received = {k: to_torch(np.array(v))[None].float().requires_grad_() for k, v in sample.items()}
    rng = torch.Generator().manual_seed(0)
    answer = measure(model.scores(received, [side]))
    projection = torch.randn(answer.shape, generator=rng)
    gradients = torch.autograd.grad(answer, list(received.values()), projection)
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients)
    ways = [_unit([torch.randn(g.shape, generator=rng) for g in gradients]), _unit(gradients)]
    way = [a + b for a, b in zip(*ways, strict=True)]

    def along(step):
        moved = {k: x.detach() + step * w for (k, x), w in zip(received.items(), way, strict=True)}
        with torch.no_grad():
            return float((measure(model.scores(moved, [side])).double() * projection).sum())

    size = STEP * max(1.0, float(torch.cat([x.detach().flatten() for x in received.values()]).norm()))
    found = (along(size) - along(-size)) / (2 * size)
    wanted = sum(float((g.double() * w).sum()) for g, w in zip(gradients, way, strict=True))
    np.testing.assert_allclose(found, wanted, rtol=rtol)


def _unit(tensors):
    size = torch.cat([t.flatten() for t in tensors]).norm()
    return [t / size for t in tensors]
