"""Optimizers and the parameters they hold.

An optimizer holds the parameter objects it was given. What becomes of the module afterwards matters to
it only as far as these objects are concerned. Whether they survive a cast or a move is the subject of
*optimizer_and_devices* in the part on placement.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD

DECAYING = [SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad]
DECAYING += [torch.optim.Adadelta, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam, torch.optim.ASGD]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("make", [*DECAYING, torch.optim.Rprop])
def test_a_step_changes_parameters_in_place(make, foreach):
    """:meth:`Optimizer.step <torch.optim.Optimizer.step>` changes the module's parameters in place."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    weight, place = layer.weight, layer.weight.data_ptr()
    optimizer = make(layer.parameters(), lr=0.5, foreach=foreach)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight is weight
    assert weight.data_ptr() == place
    assert weight.max().item() < 3.0


def test_every_optimizer_is_one():
    """Each class in ``torch.optim``, such as ``Adam``, is a subclass of :class:`~torch.optim.Optimizer`.

    From it they have ``param_groups``, ``state_dict()`` and ``zero_grad()``; ``step()`` is their own.
    """
    classes = [value for value in vars(torch.optim).values() if isinstance(value, type)]
    base = torch.optim.Optimizer([nn.Parameter(torch.rand(2))], {"lr": 0.5})

    assert {SGD, torch.optim.Adam, torch.optim.LBFGS, torch.optim.Optimizer} <= set(classes)
    assert [each for each in classes if not issubclass(each, torch.optim.Optimizer)] == []
    assert [each for each in classes if each.zero_grad is not type(base).zero_grad] == []
    assert [each for each in classes if each.state_dict is not type(base).state_dict] == []
    with pytest.raises(NotImplementedError, match=r"^$"):
        base.step(None)


def test_a_step_may_compute_the_loss_itself():
    """``SGD.step(closure)`` calls ``closure()`` once, with gradients enabled, updates, and returns its loss.

    The closure clears the gradients, computes the loss and calls ``backward()``. So a step under ``no_grad``
    works all the same.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer, calls = SGD([weight], lr=0.5), []

    def closure():
        calls.append((torch.is_grad_enabled(), weight.item()))
        optimizer.zero_grad()
        loss = (weight * 4).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        returned = optimizer.step(closure)

    assert calls == [(True, 3.0)]
    assert returned.item() == 12.0
    assert weight.tolist() == [1.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("make", [*DECAYING, torch.optim.Rprop])
def test_a_step_passes_over_missing_gradients(make, foreach):
    """``step()`` of any optimizer but ``LBFGS`` does not change a parameter whose ``grad`` is ``None``."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, 3.0)
    layer.weight.grad = torch.tensor([[2.0, 4.0]])
    options = {"weight_decay": 0.25} if make in DECAYING else {}
    optimizer = make(layer.parameters(), lr=0.5, foreach=foreach, **options)

    for layer.bias.grad in (None, torch.tensor([2.0]), None):
        before = layer.bias.item()
        optimizer.step()
        assert (layer.bias.item() == before) is (layer.bias.grad is None)
    assert layer.weight.max().item() < 3.0


def test_lbfgs_steps_without_a_gradient():
    """:class:`~torch.optim.LBFGS` takes a ``grad`` of ``None`` for zeros: it changes that parameter too.

    Its direction comes of the steps before. Set ``requires_grad=False`` and leave the parameter out of the
    optimizer to keep its value.
    """
    values = []
    for missing in (None, torch.zeros(1)):
        first, second = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([3.0]))
        optimizer = torch.optim.LBFGS([first, second], lr=0.5, max_iter=1)
        for grad in (torch.tensor([1.0]), torch.tensor([4.0]), missing):
            before = first.item()
            first.grad, second.grad = grad, torch.tensor([2.0])
            optimizer.step(lambda: torch.tensor(1.0))
        assert first.item() != before
        values.append((first.item(), second.item()))

    assert values[0] == values[1]


def test_an_optimizer_holds_the_parameter_objects():
    """An :class:`~torch.optim.Optimizer` holds the same ``Parameter`` objects that it was given, in the same
    order.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[0].bias.requires_grad_(False)
    optimizer = SGD(net.parameters(), lr=0.1)
    grouped = SGD([{"params": layer.parameters()} for layer in net], lr=0.1)

    held = optimizer.param_groups[0]["params"]
    assert [id(p) for p in held] == [id(p) for p in net.parameters()]
    held = [p for group in grouped.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(p) for p in net.parameters()]


@pytest.mark.question("Q115")
def test_a_replaced_parameter_is_never_updated():
    """A parameter assigned to a module after the :class:`~torch.optim.Optimizer` was created is not updated
    by ``step()``.

    It gets gradients, and no error says that it stays as it is. Build the optimizer last, or write into the
    old parameter with ``copy_`` under ``no_grad``.

    See also :ref:`gradients.parameter_groups.a_group_may_be_added_later`
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    old = layer.weight
    layer.weight = nn.Parameter(torch.tensor([[3.0, 3.0]]))
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[3.0, 3.0]]
    assert layer.weight.grad.tolist() == [[2.0, 4.0]]
    assert [p is old for p in optimizer.param_groups[0]["params"]] == [True]


@pytest.mark.question("Q115")
def test_a_replaced_layer_is_never_updated():
    """A layer put into a model after the optimizer was created is trained only after ``add_param_group``.

    The optimizer still holds the parameters of the old layer, and keeps them alive.
    """
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    optimizer, old = SGD(net.parameters(), lr=0.5), net[0].weight
    net[0] = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net[0].weight, 3.0)
    net(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()
    assert net[0].weight.tolist() == [[3.0, 3.0]]

    optimizer.add_param_group({"params": net[0].parameters()})
    optimizer.step()
    assert [p is old for p in optimizer.param_groups[0]["params"]] == [True]
    assert net[0].weight.tolist() == [[2.0, 1.0]]


@pytest.mark.question("Q115")
def test_new_values_for_an_old_parameter_count():
    """By default ``load_state_dict`` keeps the ``Parameter`` objects, so an optimizer trains the loaded
    values.

    With ``assign=True`` it trains nothing: see
    :ref:`state.assign.the_optimizer_keeps_the_old_parameters`
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    weight = layer.weight
    for dtype in (torch.float32, torch.float64):
        layer.load_state_dict({"weight": torch.tensor([[3.0, 3.0]], dtype=dtype)})
        optimizer.zero_grad()
        layer(torch.tensor([[2.0, 4.0]])).sum().backward()
        optimizer.step()

        assert layer.weight is weight
        assert layer.weight.tolist() == [[2.0, 1.0]]


def test_a_single_tensor_is_refused():
    """An :class:`~torch.optim.Optimizer` raises ``TypeError`` if given a single tensor; a list of one tensor
    works.
    """
    weight = nn.Linear(2, 1).weight

    with pytest.raises(TypeError, match=r"an iterable of Tensors or dicts, but got torch\.FloatTensor$"):
        SGD(weight, lr=0.1)
    assert SGD([weight], lr=0.1).param_groups[0]["params"] == [weight]


@pytest.mark.parametrize(
    ("given", "name"),
    [(nn.ReLU(), "torch.nn.modules.activation.ReLU"), ("weight", "str"), (None, "NoneType")],
    ids=["layer", "text", "none"],
)
def test_what_is_no_tensor_is_refused(given, name):
    """An :class:`~torch.optim.Optimizer` raises a ``TypeError`` that names the type if a parameter is not a
    tensor.
    """
    weight = nn.Parameter(torch.rand(2))
    for parameters in ([weight, given], [given, weight], [{"params": [weight, given]}]):
        with pytest.raises(TypeError, match=f"can only optimize Tensors, but one of the params is {name}$"):
            SGD(parameters, lr=0.1)


@pytest.mark.question("Q113")
@pytest.mark.since("2.15")
def test_a_set_of_parameters_is_warned_of():
    """Giving an optimizer a ``set`` of parameters gives a ``FutureWarning``, because a set has no fixed
    order.

    A saved state of the optimizer goes by the order of parameters, so that it would load into the wrong ones.
    """
    layer = nn.Linear(2, 3)

    with pytest.warns(FutureWarning, match="organized in ordered collections, .* error in a future release"):
        optimizer = SGD(set(layer.parameters()), lr=0.1)
    assert set(optimizer.param_groups[0]["params"]) == set(layer.parameters())


@pytest.mark.question("Q113")
def test_a_set_of_parameters_is_accepted():
    """An :class:`~torch.optim.Optimizer` accepts a ``set`` of parameters instead of a list.

    Its order differs from run to run, and the state of an optimizer is saved in that order: give a list.
    """
    layer = nn.Linear(2, 3)
    optimizer = SGD(set(layer.parameters()), lr=0.1)

    assert set(optimizer.param_groups[0]["params"]) == set(layer.parameters())


@pytest.mark.question("Q113")
def test_a_set_in_a_group_is_refused():
    """An optimizer raises ``TypeError`` if ``params`` of a parameter group is a ``set``; a list works.

    Sort out groups by names, from ``named_parameters()``, and the order comes by itself.
    """
    parameters = set(nn.Linear(2, 3).parameters())

    with pytest.raises(TypeError, match=r"organized in ordered collections, .* Please use a list instead"):
        SGD([{"params": parameters}], lr=0.1)
    assert len(SGD([{"params": list(parameters)}], lr=0.1).param_groups[0]["params"]) == 2


def test_a_computed_tensor_is_refused():
    """An :class:`~torch.optim.Optimizer` raises ``ValueError`` for a non-leaf tensor.

    A new value for it would be lost with the next forward. Give the tensors that it was computed from.
    """
    weight, computed = nn.Parameter(torch.rand(2)), nn.Linear(2, 1).weight * 2
    for parameters in ([weight, computed], [computed, weight], [{"params": weight}, {"params": computed}]):
        with pytest.raises(ValueError, match=r"^can't optimize a non-leaf Tensor$"):
            SGD(parameters, lr=0.1)


def test_a_computed_tensor_may_be_accepted():
    """An optimizer accepts a non-leaf tensor after ``retain_grad()``, or with ``differentiable=True``."""
    retaining = nn.Linear(2, 1).weight * 2
    retaining.retain_grad()
    computed = nn.Linear(2, 1).weight * 2

    for make in DECAYING:
        assert make([retaining], lr=0.1).param_groups[0]["params"][0] is retaining
        assert make([computed], lr=0.1, differentiable=True).param_groups[0]["params"][0] is computed


def test_frozen_parameters_are_accepted():
    """An :class:`~torch.optim.Optimizer` accepts frozen parameters, and trains them after
    ``requires_grad_()``.

    Filtering by ``requires_grad`` at construction loses those that are thawed later.
    """
    layer = nn.Linear(2, 1, bias=False).requires_grad_(False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = SGD(layer.parameters(), lr=0.5)
    optimizer.step()
    assert layer.weight.tolist() == [[3.0, 3.0]]

    layer.requires_grad_()
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()
    assert layer.weight.tolist() == [[2.0, 1.0]]
