"""Calling a module with other tensors in place of its own.

For the time of one call the module computes with the tensors it is given; afterwards it has its own again.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.func import functional_call


def test_it_computes_with_the_given_tensors(device):
    """:func:`~torch.func.functional_call` calls the module with the given tensors as its state."""
    layer = nn.Linear(2, 1, device=device)
    given = {"weight": torch.tensor([[2.0, 3.0]]).to(device), "bias": torch.tensor([5.0]).to(device)}

    out = functional_call(layer, given, torch.tensor([10.0, 100.0]).to(device))

    assert out.tolist() == [325.0]


def test_the_module_has_its_own_tensors_afterwards():
    """After :func:`~torch.func.functional_call` the module holds its own parameters, unchanged."""
    layer = nn.Linear(2, 1)
    weight, bias = layer.weight, layer.bias
    before = [weight.tolist(), bias.tolist()]

    functional_call(layer, {"weight": torch.rand(1, 2), "bias": torch.rand(1)}, torch.rand(2))

    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert layer.weight is weight
    assert layer.bias is bias
    assert [weight.tolist(), bias.tolist()] == before


def test_also_after_an_exception():
    """The module has its own parameters again when its ``forward`` raises."""
    layer = nn.Linear(2, 1)
    weight = layer.weight

    with pytest.raises(RuntimeError, match="shape"):
        functional_call(layer, {"weight": torch.rand(1, 2)}, torch.rand(5))

    assert layer.weight is weight


def test_what_is_not_given_stays():
    """A parameter that is not given takes part with the module's own value."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.bias, 7.0)

    out = functional_call(layer, {"weight": torch.tensor([[2.0, 3.0]])}, torch.tensor([10.0, 100.0]))

    assert out.tolist() == [327.0]


def test_buffers_are_replaced_too():
    """A given tensor may take the place of a buffer."""
    norm = nn.BatchNorm1d(2, eps=3.0).eval()
    own = norm.running_mean

    out = functional_call(norm, {"running_mean": torch.tensor([3.0, 4.0])}, torch.tensor([[10.0, 20.0]]))

    assert out.tolist() == [[3.5, 8.0]]
    assert norm.running_mean is own


def test_names_reach_into_submodules():
    """Tensors of submodules are given under their dotted names."""
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(2, 1, bias=False)))

    out = functional_call(net, {"1.0.weight": torch.tensor([[2.0, 3.0]])}, torch.tensor([10.0, 100.0]))

    assert out.tolist() == [320.0]


def test_one_argument_needs_no_tuple():
    """Anything but a tuple, a list included, is passed as the only argument."""

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, 3) == (3,)
    assert functional_call(Net(), {}, [3, 4]) == ([3, 4],)


def test_a_tuple_is_several_arguments():
    """A tuple is taken apart into positional arguments."""

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, (3, 4)) == (3, 4)
    assert functional_call(Net(), {}, ()) == ()


def test_keyword_arguments_are_a_dict():
    """Keyword arguments are given as a dict after the positional ones."""

    class Net(nn.Module):
        def forward(self, a, b=0):
            return a, b

    assert functional_call(Net(), {}, (3,), {"b": 4}) == (3, 4)
    assert functional_call(Net(), {}, args=(3,), kwargs={"b": 5}) == (3, 5)


@pytest.mark.since("2.6")
def test_arguments_may_be_left_out():
    """Without ``args``, or with ``None``, the module is called without positional arguments."""

    class Net(nn.Module):
        def forward(self, *args, scale=1):
            return args, scale

    assert functional_call(Net(), {}, None) == ((), 1)
    assert functional_call(Net(), {}, kwargs={"scale": 3}) == ((), 3)


@pytest.mark.before("2.6")
@pytest.mark.observed
def test_none_was_an_argument():
    """With ``None`` for ``args`` the module is called with ``None`` as its only argument."""

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, None) == (None,)


def test_hooks_of_the_module_run():
    """The forward hooks of the module run, as it is called and not only its ``forward``."""
    layer = nn.Linear(2, 1)
    calls = []
    layer.register_forward_pre_hook(lambda *_: calls.append("pre"))
    layer.register_forward_hook(lambda *_: calls.append("post"))

    functional_call(layer, {"weight": torch.rand(1, 2)}, torch.rand(2))

    assert calls == ["pre", "post"]


def test_gradients_flow_to_the_given_tensors():
    """Gradients flow to the given tensors and not to the parameters they stand in for."""
    layer = nn.Linear(2, 1)
    weight = torch.tensor([[2.0, 3.0]], requires_grad=True)

    functional_call(layer, {"weight": weight}, torch.tensor([10.0, 100.0])).backward()

    assert weight.grad.tolist() == [[10.0, 100.0]]
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [1.0]


def test_inside_the_call_parameters_may_be_plain_tensors():
    """During the call the attribute is the very tensor given, a parameter or not."""
    seen = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.rand(2))

        def forward(self):
            seen.append(self.scale)

    given = torch.rand(3)
    functional_call(Net(), {"scale": given}, ())

    assert len(seen) == 1
    assert seen[0] is given


def test_in_place_changes_reach_the_given_tensors():
    """What ``forward`` changes in place is changed in the given tensor, not in the module."""
    norm = nn.BatchNorm1d(1, momentum=0.5)
    given = {"running_mean": torch.tensor([10.0])}

    functional_call(norm, given, torch.tensor([[2.0], [6.0]]))

    assert given["running_mean"].tolist() == [7.0]
    assert norm.running_mean.tolist() == [0.0]


def test_new_tensors_reach_the_given_dict():
    """What ``forward`` assigns to a given name is written back into the given dict."""

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.tensor(2))

        def forward(self):
            self.count = self.count + 1

    net = Counter()
    given = {"count": torch.tensor(40)}
    functional_call(net, given, ())

    assert given == {"count": torch.tensor(41)}
    assert net.count == torch.tensor(2)


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_dicts_are_put_together(kind):
    """A tuple or list of dicts is taken as one dict."""
    layer = nn.Linear(2, 1)
    given = kind([{"weight": torch.tensor([[2.0, 3.0]])}, {"bias": torch.tensor([5.0])}])

    assert functional_call(layer, given, torch.tensor([10.0, 100.0])).tolist() == [325.0]


def test_an_ordered_dict_is_one_dict():
    """What :meth:`~torch.nn.Module.state_dict` returns can be given as it is."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    x = torch.rand(2)

    assert type(other.state_dict()) is OrderedDict
    assert torch.equal(functional_call(layer, other.state_dict(), x), other(x))


def test_a_name_in_two_dicts_is_an_error():
    """A name that two of the dicts hold raises ``ValueError``, and all such names are told."""
    first = {"weight": torch.rand(1, 2), "bias": torch.rand(1)}
    second = {"bias": torch.rand(1)}

    with pytest.raises(ValueError, match=r"\['bias'\] appeared in multiple dictionaries"):
        functional_call(nn.Linear(2, 1), (first, second), torch.rand(2))


def test_elements_are_dicts():
    """A sequence with an element that is no dict raises ``ValueError``."""
    given = ({"bias": torch.rand(1)}, torch.rand(1, 2))

    with pytest.raises(ValueError, match="Expected all elements of parameter_and_buffer_dicts"):
        functional_call(nn.Linear(2, 1), given, torch.rand(2))


def test_neither_dict_nor_sequence_is_an_error():
    """Anything but a dict, a tuple or a list in the place of the tensors raises ``ValueError``."""
    with pytest.raises(ValueError, match="list/tuple of dicts, but got <class 'dict_items'>"):
        functional_call(nn.Linear(2, 1), {"bias": torch.rand(1)}.items(), torch.rand(2))


@pytest.mark.question("Q87")
def test_references_kept_in_a_list_are_not_replaced():
    """A tensor that ``forward`` reaches through a list stays the module's own.

    Only attributes are swapped. Other references to a parameter, as in a list made in ``__init__``, go on
    to lead to the parameter itself.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.scales = [self.scale]

        def forward(self):
            return self.scale.item(), self.scales[0].item()

    assert functional_call(Net(), {"scale": torch.tensor(5.0)}, ()) == (5.0, 2.0)


@pytest.mark.parametrize("kind", ["module", "function"])
def test_a_scripted_module_is_refused(kind):
    """A functional call of what :func:`~torch.jit.trace` made raises ``RuntimeError``."""
    traced = torch.jit.trace(nn.Linear(2, 1) if kind == "module" else torch.neg, torch.rand(2))

    with pytest.raises(RuntimeError, match="stateless API can't be used with Jitted modules"):
        functional_call(traced, {}, torch.rand(2))


def test_it_cannot_be_traced():
    """Tracing a functional call with :func:`~torch.jit.trace` raises ``RuntimeError``."""
    layer = nn.Linear(2, 1)

    with pytest.raises(RuntimeError, match="stateless API can't be used with Jitted modules"):
        torch.jit.trace(lambda bias: functional_call(layer, {"bias": bias}, torch.rand(2)), torch.rand(1))


@pytest.mark.since("2.1")
def test_data_parallel_is_refused():
    """A functional call of a :class:`~torch.nn.DataParallel` raises ``RuntimeError``.

    Its replicas would not get the given tensors (:issue:`77576`, :pull:`107403`).
    """
    net = nn.DataParallel(nn.Linear(2, 1))

    with pytest.raises(RuntimeError, match=r"can't be used with nn\.DataParallel module"):
        functional_call(net, {"module.bias": torch.rand(1)}, torch.rand(2))


@pytest.mark.before("2.1")
@pytest.mark.observed
def test_data_parallel_was_not_refused():
    """A functional call of a :class:`~torch.nn.DataParallel` on one device uses the given tensors."""
    place = "cuda" if torch.cuda.is_available() else "cpu"
    net = nn.DataParallel(nn.Linear(2, 1, bias=False).to(place), device_ids=[0])
    given = {"module.weight": torch.tensor([[2.0, 3.0]], device=place)}

    out = functional_call(net, given, torch.tensor([10.0, 100.0], device=place))

    assert out.tolist() == [320.0]
