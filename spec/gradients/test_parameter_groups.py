"""Parameter groups: parameters of one optimizer that have options of their own.

A group is a dict: ``params`` holds the parameters, and every other key is an option. What a group leaves out
has the default that was given to the optimizer.
"""

import re

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW


@pytest.mark.claim("N5-09")
def test_a_group_has_its_own_learning_rate():
    """A group in ``optimizer.param_groups`` has its own ``lr`` if one is given, else the optimizer's default.

    So it is with each option: fine-tuning with a small rate for the body and a large one for the head needs
    one optimizer with two groups.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    groups = [{"params": net[0].parameters(), "momentum": 0.5}, {"params": net[1].parameters(), "lr": 0.01}]
    optimizer = SGD(groups, lr=0.1, momentum=0.9)
    for options in ({}, {"lr": 0.2, "momentum": 0.7}):
        optimizer.add_param_group({"params": [nn.Parameter(torch.rand(2))], **options})

    rates = [(group["lr"], group["momentum"]) for group in optimizer.param_groups]
    assert rates == [(0.1, 0.5), (0.01, 0.9), (0.1, 0.9), (0.2, 0.7)]


@pytest.mark.claim("N5-09")
def test_a_step_uses_the_learning_rate_of_the_group():
    """``optimizer.step()`` updates each parameter with the ``lr`` of its parameter group.

    Rates are looked up at each step, so a scheduler may change them in between.
    """
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 3.0)
    optimizer = SGD([{"params": [layer.weight], "lr": 0.25}, {"params": [layer.bias]}], lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.5, 2.0]]
    assert layer.bias.tolist() == [2.5]

    optimizer.param_groups[1]["lr"] = 2.0
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]
    assert layer.bias.tolist() == [0.5]

    Adam([{"params": [layer.weight], "lr": 0.25}, {"params": [layer.bias]}], lr=0.5).step()

    assert layer.weight[0].tolist() == pytest.approx([1.75, 0.75])
    assert layer.bias.tolist() == pytest.approx([0.0], abs=1e-6)


def test_parameters_alone_make_one_group():
    """An optimizer created with ``layer.parameters()`` has a single entry in ``param_groups``."""
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    [group] = SGD(layer.parameters(), lr=0.1).param_groups

    assert [id(p) for p in group["params"]] == [id(p) for p in layer.parameters()]
    assert group["lr"] == 0.1


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [(SGD, [2.0, 1.0], [1.5, 0.0]), (Adam, [2.5, 2.5], [2.25, 2.25])],
    ids=["SGD", "Adam"],
)
def test_a_learning_rate_may_be_changed(kind, first, second):
    """A new value of ``optimizer.param_groups[0]["lr"]`` takes effect at the next ``step()``.

    Schedulers of the learning rate do just that.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = kind(layer.parameters(), lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()
    assert layer.weight[0].tolist() == pytest.approx(first)

    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert layer.weight[0].tolist() == pytest.approx(second)


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_weight_decay_is_for_all_parameters(kind, foreach):
    """``SGD`` and ``AdamW`` apply ``weight_decay`` to all parameters, of biases and normalizations too.

    Neither knows what a parameter is for. Put those that are not to shrink into a group of their own, for
    example all with fewer than two dimensions.

    See also :ref:`gradients.parameter_groups.weight_decay_may_leave_biases_out`
    """
    net = nn.Sequential(nn.Linear(2, 1), nn.LayerNorm(1))
    for parameter in net.parameters():
        nn.init.constant_(parameter, 4.0)
        parameter.grad = torch.zeros_like(parameter)

    kind(net.parameters(), lr=0.5, weight_decay=0.25, foreach=foreach).step()

    assert [p.tolist() for p in net.parameters()] == [[[3.5, 3.5]], [3.5], [3.5], [3.5]]


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_weight_decay_may_leave_biases_out(kind):
    """``weight_decay`` can differ between the parameter groups of an optimizer, for example be 0 for
    biases.
    """
    layer = nn.Linear(2, 1)
    groups = [{"params": [layer.weight]}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer = kind(groups, lr=1.0, weight_decay=0.5)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 3.0)
    layer.weight.grad, layer.bias.grad = torch.zeros(1, 2), torch.zeros(1)
    optimizer.step()

    assert layer.weight.tolist() == [[1.5, 1.5]]
    assert layer.bias.tolist() == [3.0]


@pytest.mark.claim("N5-10")
@pytest.mark.since("2.3")
def test_printing_shows_the_options_of_each_group():
    """``print(optimizer)`` of ``SGD`` shows each group's sorted options, with ``fused``, but no parameters.

    To see which parameters a group holds, compare ``group["params"]`` with ``named_parameters()``.
    """
    layer = nn.Linear(2, 3)
    optimizer = SGD([{"params": [layer.weight], "lr": 0.01}, {"params": layer.bias}], lr=0.1)
    options = (
        "    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n    lr: {}\n"
        "    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n"
    )

    first, second = options.format(0.01), options.format(0.1)
    assert repr(optimizer) == f"SGD (\nParameter Group 0\n{first}\nParameter Group 1\n{second})"


@pytest.mark.claim("N5-10")
@pytest.mark.before("2.3")
def test_printing_shows_the_options_without_fused():
    """``print(optimizer)`` of ``SGD`` shows the options of each group, without ``fused``."""
    layer = nn.Linear(2, 3)
    optimizer = SGD([{"params": [layer.weight], "lr": 0.01}, {"params": layer.bias}], lr=0.1)
    options = (
        "    dampening: 0\n    differentiable: False\n    foreach: None\n    lr: {}\n"
        "    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n"
    )

    first, second = options.format(0.01), options.format(0.1)
    assert repr(optimizer) == f"SGD (\nParameter Group 0\n{first}\nParameter Group 1\n{second})"


@pytest.mark.claim("N5-10")
@pytest.mark.since("2.7")
def test_adam_shows_decoupled_weight_decay():
    """``print(optimizer)`` of ``Adam`` shows ``decoupled_weight_decay`` among the options."""
    lines = repr(Adam(nn.Linear(2, 3).parameters(), lr=0.1)).splitlines()

    assert "    decoupled_weight_decay: False" in lines


@pytest.mark.since("2.6")
def test_named_parameters_are_accepted():
    """An optimizer accepts ``named_parameters()`` and keeps the names as ``param_names`` (:pull:`134107`)."""
    net = nn.Sequential(nn.Linear(2, 3))
    [group] = SGD(net.named_parameters(), lr=0.1).param_groups

    assert group["param_names"] == ["0.weight", "0.bias"]
    assert [id(p) for p in group["params"]] == [id(p) for p in net.parameters()]


@pytest.mark.before("2.6")
def test_named_parameters_are_refused():
    """An :class:`~torch.optim.Optimizer` raises ``TypeError`` for ``named_parameters()``."""
    with pytest.raises(TypeError, match="can only optimize Tensors, but one of the params is tuple"):
        SGD(nn.Linear(2, 3).named_parameters(), lr=0.1)


@pytest.mark.since("2.6")
def test_all_parameters_have_names_or_none():
    """An optimizer raises ``ValueError`` for a parameter group in which only some parameters have names."""
    layer = nn.Linear(2, 3)

    with pytest.raises(ValueError, match=r"with/without names. Some param names are missing$"):
        SGD([("weight", layer.weight), layer.bias], lr=0.1)
    with pytest.raises(ValueError, match=r"with/without names. Some param names are missing$"):
        SGD([layer.weight, ("bias", layer.bias)], lr=0.1)
    assert len(SGD([("weight", layer.weight), ("bias", layer.bias)], lr=0.1).param_groups[0]["params"]) == 2


@pytest.mark.since("2.6")
def test_all_groups_have_names_or_none():
    """``add_param_group`` raises ``ValueError`` if only some of the groups have parameter names."""
    layer = nn.Linear(2, 3)
    message = "all optimizer param groups should be with/without names. cannot add param group {} to"

    nameless = SGD([layer.weight], lr=0.1)
    with pytest.raises(ValueError, match="^" + re.escape(message.format("with names"))):
        nameless.add_param_group({"params": [("bias", layer.bias)]})
    named = SGD([("weight", layer.weight)], lr=0.1)
    with pytest.raises(ValueError, match="^" + re.escape(message.format("without names"))):
        named.add_param_group({"params": [layer.bias]})


def test_a_group_may_be_added_later():
    """:meth:`~torch.optim.Optimizer.add_param_group` adds a parameter group; options it lacks get the
    optimizer's defaults.

    The dict that is given becomes the group itself.
    """
    layer = nn.Linear(2, 3)
    optimizer = SGD([layer.weight], lr=0.1, momentum=0.9)
    group = {"params": layer.bias, "momentum": 0.5}

    assert optimizer.add_param_group(group) is None
    assert optimizer.param_groups[1] is group
    assert [group["lr"], group["momentum"]] == [0.1, 0.5]
    assert [p is layer.bias for p in group["params"]] == [True]


def test_the_given_dicts_become_the_groups():
    """An optimizer fills and keeps the given group dicts: a second one made of them has the first's ``lr``.

    It fills in its options where they are missing, and both share the dicts afterwards: a scheduler of one
    changes the other (:issue:`51794`). Make new dicts for each optimizer.
    """
    layer = nn.Linear(2, 3)
    groups = [{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.5}]

    first, second = SGD(groups, lr=0.1), SGD(groups, lr=0.7)

    assert [group["lr"] for group in second.param_groups] == [0.1, 0.5]
    first.param_groups[0]["lr"] = 0.01
    assert second.param_groups[0]["lr"] == 0.01
    for optimizer in (first, second):
        assert [id(group) for group in optimizer.param_groups] == [id(group) for group in groups]


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("given", "kind"), [([torch.rand(2)], "list"), (torch.rand(2), "torch.Tensor")], ids=["list", "tensor"]
)
def test_a_group_of_the_wrong_type_is_named(given, kind):
    """``add_param_group`` raises a ``TypeError`` that names the type if the group is not a dict."""
    optimizer = SGD(nn.Linear(2, 3).parameters(), lr=0.1)

    with pytest.raises(TypeError, match=f"^param_group must be a dict, but got <class '{kind}'>$"):
        optimizer.add_param_group(given)


@pytest.mark.before("2.1")
def test_a_group_was_asserted_to_be_a_dict():
    """``add_param_group`` raises ``AssertionError`` if the group is not a dict.

    ``python -O`` takes assertions away: there it fails later, if at all.
    """
    optimizer = SGD(nn.Linear(2, 3).parameters(), lr=0.1)

    with pytest.raises(AssertionError, match=r"^param group must be a dict$"):
        optimizer.add_param_group([torch.rand(2)])


@pytest.mark.since("2.1")
def test_groups_and_parameters_are_not_mixed():
    """An optimizer raises ``TypeError`` for a list that mixes parameter groups and bare parameters."""
    layer = nn.Linear(2, 3)

    with pytest.raises(TypeError, match=r"^param_group must be a dict, but got <class"):
        SGD([{"params": [layer.weight]}, layer.bias], lr=0.1)
    with pytest.raises(TypeError, match=r"can only optimize Tensors, but one of the params is dict$"):
        SGD([layer.bias, {"params": [layer.weight]}], lr=0.1)


def test_a_group_has_parameters():
    """An optimizer raises ``KeyError`` for a parameter group without ``params``."""
    with pytest.raises(KeyError, match=r"^'params'$"):
        SGD([{"lr": 0.1}], lr=0.1)
    with pytest.raises(KeyError, match=r"^'params'$"):
        SGD([{"params": [torch.ones(2)]}, {"lr": 0.1}], lr=0.1)
    with pytest.raises(KeyError, match=r"^'params'$"):
        SGD([torch.ones(2)], lr=0.1).add_param_group({"lr": 0.1})


@pytest.mark.question("Q111")
def test_a_parameter_twice_in_a_group_is_warned_of():
    """An optimizer gives a ``UserWarning`` if a parameter is listed twice in one group (:issue:`40967`).

    ``parameters()`` yields a shared one once; lists put together by hand are where this comes from.
    """
    weight, bias = nn.Linear(2, 3).parameters()
    twice = [weight, bias, weight]

    for given in (twice, [{"params": twice}]):
        with pytest.warns(UserWarning, match="^optimizer contains a parameter group with duplicate"):
            SGD(given, lr=0.1)


@pytest.mark.question("Q111")
@pytest.mark.parametrize(("kind", "value"), [(SGD, 1.0), (Adam, 2.0)], ids=["SGD", "Adam"])
def test_a_parameter_twice_in_a_group_is_stepped_twice(kind, value):
    """``optimizer.step()`` updates a parameter twice if it is listed twice in one group.

    Its learning rate is doubled without an error: take the warning seriously.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = kind([weight, weight], lr=0.5)
    weight.grad = torch.tensor([2.0])
    optimizer.step()

    assert weight.tolist() == pytest.approx([value])


@pytest.mark.question("Q111")
def test_a_parameter_in_two_groups_is_refused():
    """An optimizer raises ``ValueError`` for a parameter in two groups, also in ``add_param_group``.

    Sort parameters by ``id``, so that each is in one group only.
    """
    layer = nn.Linear(2, 3)
    message = "^some parameters appear in more than one parameter group$"

    with pytest.raises(ValueError, match=message):
        SGD([{"params": layer.parameters()}, {"params": [layer.bias]}], lr=0.1)
    optimizer = SGD([{"params": [nn.Parameter(torch.rand(2))]}, {"params": [layer.weight]}], lr=0.1)
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [layer.bias, layer.weight]})
    assert len(optimizer.param_groups) == 2


@pytest.mark.question("Q111")
def test_tied_layers_in_two_groups_are_refused():
    """An optimizer raises ``ValueError`` if tied layers are in different groups; ``net.parameters()`` works.

    Decide to which group the shared parameter belongs, and leave it out of the other.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[2].weight = net[0].weight

    with pytest.raises(ValueError, match="more than one parameter group"):
        SGD([{"params": layer.parameters()} for layer in net], lr=0.1)
    assert len(SGD(net.parameters(), lr=0.1).param_groups[0]["params"]) == 5


@pytest.mark.since("2.2")
def test_sgd_has_a_default_learning_rate():
    """:class:`~torch.optim.SGD` has a learning rate of 0.001 by default."""
    assert SGD(nn.Linear(2, 3).parameters()).param_groups[0]["lr"] == 0.001


@pytest.mark.before("2.2")
def test_sgd_asks_for_a_learning_rate():
    """:class:`~torch.optim.SGD` without a learning rate raises a ``ValueError`` that names ``lr``."""
    message = "parameter group didn't specify a value of required optimization parameter lr"
    with pytest.raises(ValueError, match=message):
        SGD(nn.Linear(2, 3).parameters())
