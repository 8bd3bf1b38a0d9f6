"""Findings about recurrent layers: which steps of what they give count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnspec.contract.nested import Example, is_floating, run, tensors_in


def half_read(net: nn.Module, example: Example) -> list[str]:
    """Layers of two directions of whose output the last step alone counts."""
    return [
        f"of the output of `{path}` the last step alone counts, and there its backward direction has seen "
        "one step and none before it; take the last states, torch.cat([h_n[-2], h_n[-1]], dim=-1)"
        for path, found in _counted(net, example, is_bidirectional=True).items()
        if "states" not in found and _is_last_alone(found)
    ]


def last_step_read(net: nn.Module, example: Example) -> str:
    """The path of a layer of one direction of which the last step or the last states alone count, if any."""
    for path, found in _counted(net, example, is_bidirectional=False).items():
        if _is_last_alone(found) or ("states" in found and "output" not in found):
            return path
    return ""


def _is_last_alone(found: dict[str, Tensor]) -> bool:
    steps = found.get("output")
    return steps is not None and len(steps) > 1 and bool(steps[-1] > 0) and not bool(steps[:-1].any())


def _counted(net: nn.Module, example: Example, *, is_bidirectional: bool) -> dict[str, dict[str, Tensor]]:
    """What counts of each recurrent layer, by path.

    ``output`` has how much each step counts: of two directions those that the backward one gives. ``states``
    is there if the last states count. An output that is packed, frozen or one of several is empty.
    """
    seen: dict[str, dict[str, Tensor]] = {}
    handles: list[Any] = []

    def noting(path: str) -> Callable[..., None]:
        def note(layer: nn.RNNBase, args: Any, result: Any) -> None:
            output, states = result
            found = seen.setdefault(path, {})
            last = states[0] if isinstance(states, tuple) else states
            if not isinstance(output, Tensor) or not output.requires_grad or "called" in found:
                found["output"] = torch.zeros(0)
                return
            found["called"] = torch.ones(())
            time = 0 if output.dim() == 2 or not layer.batch_first else 1
            first = output.shape[-1] // 2 if is_bidirectional else 0

            def of_output(gradient: Tensor) -> None:
                steps = gradient[..., first:].detach().transpose(0, time).flatten(1).abs()
                found["output"] = found.get("output", 0) + steps.sum(dim=1)

            handles.append(output.register_hook(of_output))  # type: ignore[no-untyped-call]
            handles.append(last.register_hook(lambda gradient: found.update(states=gradient)))

        return note

    handles += [
        module.register_forward_hook(noting(path or "self"))
        for path, module in net.named_modules()
        if isinstance(module, nn.RNNBase) and module.bidirectional is is_bidirectional
    ]
    if not handles:
        return {}
    try:
        outputs = [one for _, one in tensors_in(run(net, example)) if one.requires_grad and is_floating(one)]
        if outputs:
            torch.autograd.backward([one.abs().square().sum() + one.abs().sum() for one in outputs])
    finally:
        for handle in handles:
            handle.remove()
    return seen
