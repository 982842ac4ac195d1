"""The selective scan of a Mamba layer with a backward pass of its own: fast on CPU cores, in training too.

State space recurrence of Gu and Dao (arXiv:2312.00752), for batch b, channel d, state n and time t:
    h[t] = exp(dt[t] A) h[t-1] + dt[t] u[t] B[t],    y[t] = sum over n of C[t] h[t].
A plain loop under autograd writes some ten tensors of the size (batch, channels, state) at every step. This one keeps
the state of a few sequences in the processor's cache, stores h alone and makes the decays anew on the way back.
"""

from __future__ import annotations

import torch

TOGETHER = 16  # sequences at once: with 384 channels x 16 states, four arrays of 400 kB


class SelectiveScan(torch.autograd.Function):
    """u, dt (time, batch, channels), a (state, channels) negative, b, c (time, batch, state) -> y like u; float32."""

    @staticmethod
    def forward(ctx, u, dt, a, b, c):
        x = dt * u
        states = u.new_empty((*b.shape, u.shape[2]))  # (time, batch, state, channels)
        y = torch.empty_like(u)
        for rows in _groups(u.shape[1]):
            _forward(x[:, rows], dt[:, rows], a, b[:, rows], c[:, rows], states[:, rows], y[:, rows])
        ctx.save_for_backward(u, dt, a, b, c, x, states)
        return y

    @staticmethod
    def backward(ctx, dy):
        u, dt, a, b, c, x, states = ctx.saved_tensors
        dx, d_dt, d_b, d_c = torch.empty_like(x), torch.empty_like(dt), torch.empty_like(b), torch.empty_like(c)
        d_a = torch.zeros_like(a)
        for rows in _groups(u.shape[1]):
            given = [part[:, rows] for part in (dy, x, dt, b, c, states)]
            d_a += _backward(a, *given, *(out[:, rows] for out in (dx, d_dt, d_b, d_c)))
        return dx * dt, d_dt.addcmul_(dx, u), d_a, d_b, d_c


def selective_scan(u, dt, a, b, c):
    """`SelectiveScan` as a function."""
    return SelectiveScan.apply(u, dt, a, b, c)


def _groups(batch: int) -> list[slice]:
    return [slice(start, min(start + TOGETHER, batch)) for start in range(0, batch, TOGETHER)]


def _forward(x, dt, a, b, c, states, y) -> None:
    h = x.new_zeros(states.shape[1:])
    decay = torch.empty_like(h)
    for t in range(len(x)):
        torch.mul(dt[t, :, None], a, out=decay).exp_()
        h.mul_(decay).addcmul_(b[t, :, :, None], x[t, :, None])
        states[t] = h
        y[t] = torch.bmm(c[t, :, None], h)[:, 0]


def _backward(a, dy, x, dt, b, c, states, dx, d_dt, d_b, d_c) -> torch.Tensor:
    """Fills the gradients of x, dt (its decays only), b and c; -> that of a. g: gradient of the state h[t]."""
    g = x.new_zeros(states.shape[1:])
    decay, d_decay, d_a = torch.empty_like(g), torch.empty_like(g), torch.zeros_like(g)
    for t in reversed(range(len(x))):
        g.addcmul_(c[t, :, :, None], dy[t, :, None])
        d_c[t] = torch.bmm(states[t], dy[t, :, :, None])[..., 0]
        d_b[t] = torch.bmm(g, x[t, :, :, None])[..., 0]
        dx[t] = torch.bmm(b[t, :, None], g)[:, 0]
        if t == 0:  # h[-1] is zero: no decay to learn from
            d_dt[t] = 0
            break
        g.mul_(torch.mul(dt[t, :, None], a, out=decay).exp_())
        torch.mul(g, states[t - 1], out=d_decay)
        d_a.addcmul_(d_decay, dt[t, :, None])
        torch.sum(d_decay.mul_(a), 1, out=d_dt[t])
    return d_a.sum(0)
