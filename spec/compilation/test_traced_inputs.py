"""What torch.jit.trace takes, returns and records.

:func:`torch.jit.trace` runs a module once on example inputs. What is a tensor then is an input or an output
of the traced module; what is a Python value is fixed.
"""

import warnings

import pytest
import torch
from torch import nn


def test_keywords_are_given_apart():
    """``torch.jit.trace(net, example_kwarg_inputs={...})`` traces keyword arguments, and keeps their names.

    The traced module takes them by keyword in any order, or by position in the order of ``forward``.
    """

    class Net(nn.Module):
        def forward(self, a, b, c=None):
            return a * 10 + b

    a, b = torch.tensor([3.0]), torch.tensor([5.0])
    traced = torch.jit.trace(Net(), example_kwarg_inputs={"b": b, "a": a})

    assert (traced(b=b, a=a).item(), traced(a, b).item()) == (35.0, 35.0)
    with pytest.raises(RuntimeError, match=r"expected at most 3 argument\(s\) but received 4"):
        traced(a=a, b=b, c=a)


def test_what_the_example_leaves_out_is_fixed():
    """A module of ``torch.jit.trace`` takes as many inputs as its example had; defaults become constants."""

    class Net(nn.Module):
        def forward(self, x, y=None, scale=2):
            return x * scale if y is None else x * scale + y

    x, y = torch.tensor([3.0]), torch.tensor([5.0])

    assert torch.jit.trace(Net(), (x, y))(x * 10, y).item() == 65.0
    with pytest.raises(RuntimeError, match=r"expected at most 2 argument\(s\) but received 3"):
        torch.jit.trace(Net(), (x,))(x, y)
    with pytest.raises(RuntimeError, match="missing value for argument 'y'"):
        torch.jit.trace(Net(), (x, y))(x)


def test_numbers_are_no_inputs():
    """``torch.jit.trace`` raises ``RuntimeError`` for an example input that is a number or a string.

    Give it a tensor, or a default in ``forward``.
    """

    class Net(nn.Module):
        def forward(self, x, scale):
            return x

    for value in (3, 2.5, True, "sum"):
        with pytest.raises(RuntimeError, match=r"Only Tensors and \(possibly nested\) Lists, Dicts"):
            torch.jit.trace(Net(), (torch.tensor([3.0]), value))
    assert torch.jit.trace(Net(), (torch.tensor([3.0]), torch.tensor(3)))


def test_a_dict_is_returned_only_without_strict():
    """``torch.jit.trace`` raises ``RuntimeError`` if ``forward`` returns a dict, unless ``strict=False``.

    It does for ``None`` among the outputs, whatever ``strict`` is.
    """

    class Net(nn.Module):
        def forward(self, x):
            return {"double": x * 2, "triple": x * 3}

    class Nothing(nn.Module):
        def forward(self, x):
            return x, None

    x = torch.tensor([5.0])
    with pytest.raises(RuntimeError, match="Encountering a dict at the output of the tracer"):
        torch.jit.trace(Net(), x)
    traced = torch.jit.trace(Net(), x, strict=False)
    assert {key: value.item() for key, value in traced(x).items()} == {"double": 10.0, "triple": 15.0}
    for strict in (True, False):
        with pytest.raises(RuntimeError, match="Only tensors, lists, tuples of tensors, or dictionary"):
            torch.jit.trace(Nothing(), x, strict=strict)


def test_values_of_a_returned_dict_are_alike():
    """``torch.jit.trace(strict=False)`` raises ``RuntimeError`` for a dict of a tensor and a tuple."""

    class Net(nn.Module):
        def forward(self, x):
            return {"all": x, "parts": (x, x)}

    with pytest.raises(RuntimeError, match=r"must have consistent type\. Found Tensor and Tuple"):
        torch.jit.trace(Net(), torch.tensor([5.0]), strict=False)


def test_sizes_are_followed():
    """A module of ``torch.jit.trace`` follows ``x.shape`` and ``x.size(0)``, but fixes ``int(x.shape[0])``.

    A loop over ``range(x.shape[0])`` is fixed as well.
    """

    class Net(nn.Module):
        def forward(self, x):
            looped = torch.zeros(1)
            for _ in range(x.shape[0]):
                looped = looped + 1
            return (
                x.reshape(x.shape[0] * 2, -1),
                torch.ones(1) * x.size(0),
                torch.ones(1) * int(x.shape[0]),
                looped,
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(Net(), torch.rand(2, 4))
    reshaped, size, fixed, looped = traced(torch.rand(6, 4))

    assert list(reshaped.shape) == [12, 2]
    assert (size.item(), fixed.item(), looped.item()) == (6.0, 2.0, 2.0)


def test_values_become_constants():
    """``torch.jit.trace`` fixes ``x.item()`` of an input as a number, with a ``TracerWarning``."""

    class Net(nn.Module):
        def forward(self, x):
            return x * x.sum().item()

    with pytest.warns(torch.jit.TracerWarning, match="Converting a tensor to a Python"):
        traced = torch.jit.trace(Net(), torch.tensor([3.0]))

    assert traced(torch.tensor([5.0])).item() == 15.0


def test_other_methods_are_traced_by_name():
    """``torch.jit.trace_module`` traces several methods, each with its inputs, ``trace`` only ``forward``.

    The methods share the parameters. ``torch.jit.trace`` of a bound method raises ``AttributeError``.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([1.0]))

        def forward(self, x):
            return x * self.scale * 2

        def triple(self, x):
            return x * self.scale * 3

    x, net = torch.tensor([5.0]), Net()
    traced = torch.jit.trace_module(net, {"forward": x, "triple": x[:0]})

    assert (traced(x).item(), traced.triple(x).item()) == (10.0, 15.0)
    assert [name for name, _ in traced.named_parameters()] == ["scale"]
    torch.nn.init.constant_(net.scale, 7.0)
    assert (traced(x).item(), traced.triple(x).item()) == (70.0, 105.0)
    with pytest.raises(AttributeError, match="has no attribute 'triple'"):
        torch.jit.trace(Net(), x).triple(x)
    with pytest.raises(AttributeError, match="trace doesn't support compiling individual module's functions"):
        torch.jit.trace(Net().triple, x)


def test_a_second_run_is_compared():
    """By default ``torch.jit.trace`` runs the module again, and raises an error or warns of differences.

    A counter in ``forward`` raises ``TracingCheckError``, dropout warns: call ``eval()`` first.
    ``check_trace=False`` does without.
    """

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def forward(self, x):
            self.count += 1
            return x * self.count

    x, net = torch.rand(100) + 1, Counter()
    with pytest.raises(torch.jit.TracingCheckError, match="Graphs differed across invocations"):
        torch.jit.trace(Counter(), x)
    with pytest.warns(torch.jit.TracerWarning, match="Did you forget .*call .eval"):
        torch.jit.trace(nn.Dropout(0.5), x)
    torch.jit.trace(net, x, check_trace=False)
    assert net.count == 1


def test_no_grad_inside_is_lost():
    """A module of ``torch.jit.trace`` computes gradients also of what ``forward`` does under ``no_grad``.

    Use ``detach()``, which is recorded.
    """

    class Net(nn.Module):
        def forward(self, x):
            with torch.no_grad():
                constant = x * 2
            return constant + x * 3 + x.detach() * 5

    net, grads = Net(), []
    for module in (net, torch.jit.trace(net, torch.tensor([7.0]))):
        x = torch.tensor([7.0], requires_grad=True)
        module(x).backward()
        grads.append(x.grad.item())

    assert grads == [3.0, 5.0]


def test_tracing_without_gradients_freezes_nothing():
    """A module traced by ``torch.jit.trace`` under ``no_grad`` computes gradients when called outside."""
    layer, x = nn.Linear(1, 1, bias=False), torch.tensor([7.0])
    with torch.no_grad():
        traced = torch.jit.trace(layer, x)

    traced(x).backward()

    assert traced.weight is layer.weight
    assert layer.weight.grad.tolist() == [[7.0]]


def test_a_dict_is_read_by_its_keys():
    """A module of ``torch.jit.trace`` reads a dict by its keys, in any order, and ignores further ones."""

    class Net(nn.Module):
        def forward(self, parts):
            return parts["b"] * 10 + parts["c"]

    b, c = torch.tensor([3.0]), torch.tensor([5.0])
    traced = torch.jit.trace(Net(), ({"b": b, "c": c},))

    assert traced({"c": c * 2, "b": b}).item() == 40.0
    assert traced({"d": c * 7, "b": b, "c": c * 3, "a": c * 11}).item() == 45.0
