"""Where in forward the rows of a batch meet."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example, differences, mapped, run, tensors_in
from nnspec.contract.wording import place


class Meeting(NamedTuple):
    """The first step of forward whose result for the first row is another where other rows are.

    Attributes:
        where: the line of the module's own code, empty if none was seen.
        without_rows: whether no dimension of the result counts rows.
    """

    where: str = ""
    without_rows: bool = False


def meeting(net: nn.Module, example: Example, size: int, change: Callable[[Tensor], Tensor]) -> Meeting:
    """Where a number of the first row meets one of another.

    Args:
        net: the module.
        example: makes the inputs.
        size: how many rows they have.
        change: changes other rows of the inputs, and not the first.
    """
    given, changed = example(), mapped(example(), change)
    try:
        with _Steps() as before:
            run(net, lambda: given)
        with _Comparing(before.results, size) as compared:
            run(net, lambda: changed)
    except Exception:
        return Meeting()
    return compared.found or Meeting()


class _Steps(TorchFunctionMode):
    """Keeps what each function of torch returns, up to a number of values."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[list[Tensor]] = []
        self.left = _MOST_VALUES

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.left > 0:
            returned = [tensor.detach() for _, tensor in tensors_in(result)]
            self.left -= sum(tensor.numel() for tensor in returned)
            self.results.append([tensor.clone() for tensor in returned])
        return result


class _Comparing(TorchFunctionMode):
    """Holds each step against the same one of an earlier call, until the first row is not the same."""

    def __init__(self, earlier: list[list[Tensor]], size: int) -> None:
        super().__init__()
        self.earlier, self.size = iter(earlier), size
        self.found: Meeting | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.found is None:
            now, then = [tensor.detach() for _, tensor in tensors_in(result)], next(self.earlier, None)
            if then is None or [one.shape for one in now] != [one.shape for one in then]:
                self.found = Meeting()  # the calls went other ways
            elif met := [one for one, other in zip(now, then, strict=True) if not self._apart(one, other)]:
                without = all(length % self.size for length in met[0].shape)
                self.found = Meeting(place(traceback.extract_stack()[:-1]), without)
        return result

    def _apart(self, now: Tensor, then: Tensor) -> bool:
        """Whether what belongs to the first row is the same: all, or one block along a dimension."""
        return not differences(now, then) or any(
            not differences(_block(now, dim, self.size), _block(then, dim, self.size))
            for dim, length in enumerate(now.shape)
            if length and length % self.size == 0
        )


def _block(tensor: Tensor, dim: int, size: int) -> Tensor:
    return tensor.narrow(dim, 0, tensor.shape[dim] // size)


#: How many values are kept of a call: of a larger one the beginning is looked at.
_MOST_VALUES = 20_000_000
