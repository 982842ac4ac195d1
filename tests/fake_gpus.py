"""GPUs that hold shapes alone: tensors know which one they are on, and meeting a tensor of another is an error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode


def spread(net: nn.Module, places: Mapping[str, str], mode: FakeTensorMode | None = None) -> FakeTensorMode:
    """Put the parts of `net` on fake devices as accelerate does with `device_map=places`: hooks in front of each part
    bring its inputs. "" is the whole net. -> the mode to run it in."""
    mode = mode or FakeTensorMode(allow_non_fake_inputs=True)
    if len(set(places.values())) > 1:
        attach_align_device_hook_on_blocks(
            net, execution_device=dict.fromkeys(places, torch.device("cpu")), offload=dict.fromkeys(places, False),
            skip_keys=getattr(net, "_skip_keys_device_placement", None),
        )  # fmt: skip
    with mode:
        for name, module in net.named_modules():
            device = places[max((p for p in places if f"{name}.".startswith(f"{p}.") or not p), key=len)]
            for table in (module._parameters, module._buffers):
                table.update({key: _like(value, device) for key, value in table.items() if value is not None})
            if hasattr(module, "_hf_hook"):
                module._hf_hook.execution_device = torch.device(device)
    return mode


def _like(value: torch.Tensor, device: str) -> torch.Tensor:
    made = torch.empty(value.shape, dtype=value.dtype, device=device)
    return nn.Parameter(made, requires_grad=False) if isinstance(value, nn.Parameter) else made
