"""What an optimizer saves of itself, and how it takes it back.

The state of an optimizer goes by the order of its parameters. Nothing but their number is compared.
"""

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, lr_scheduler


def test_a_state_dict_has_two_entries():
    """:meth:`Optimizer.state_dict <torch.optim.Optimizer.state_dict>` returns a dict with two keys,
    ``state`` and ``param_groups``.
    """
    layer = nn.Linear(2, 1)
    for optimizer in (SGD(layer.parameters(), lr=0.5), Adam(layer.parameters())):
        assert type(optimizer.state_dict()) is dict
        assert list(optimizer.state_dict()) == ["state", "param_groups"]


def test_the_state_is_saved_by_parameter():
    """``Optimizer.state_dict()["state"]`` maps the id of a parameter to its state, without the parameter.

    Ids count all parameters in order. One without a step has no entry.
    """
    layer = nn.Linear(2, 1)
    frozen = layer.weight.requires_grad_(False)
    optimizer = SGD([{"params": [frozen]}, {"params": [layer.bias]}], lr=0.5, momentum=0.9)
    assert optimizer.state_dict()["state"] == {}

    layer.bias.grad = torch.tensor([3.0])
    optimizer.step()
    state = optimizer.state_dict()["state"]

    assert list(state) == [1]
    assert list(state[1]) == ["momentum_buffer"]
    assert state[1]["momentum_buffer"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("optimizer", "times"),
    [
        (lambda parameters: SGD(parameters, lr=0.1), 0),
        (lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), 1),
        (Adam, 2),
        (lambda parameters: Adam(parameters, amsgrad=True), 3),
    ],
    ids=["sgd", "momentum", "adam", "amsgrad"],
)
def test_what_is_saved_of_each_parameter(optimizer, times):
    """``Adam`` saves two tensors as large as each parameter, three with ``amsgrad``; ``SGD`` with momentum
    one.

    A checkpoint with ``Adam`` is so three times as large as the weights. For inference the weights will do:
    save them in a file of their own. Before the first step nothing is there. See :class:`torch.optim.Adam`.
    """
    layer = nn.Linear(3, 2)
    made = optimizer(layer.parameters())

    sizes = []
    for _ in range(2):
        state = made.state_dict()["state"].values()
        sizes.append(sum(t.numel() for values in state for t in values.values() if t is not None and t.ndim))
        layer(torch.rand(3)).sum().backward()
        made.step()

    assert sizes == [0, times * (6 + 2)]


def test_groups_are_saved_with_ids():
    """``Optimizer.state_dict()["param_groups"]`` is a list of dicts with ``lr`` and so on, and ids as
    ``params``.
    """
    first, second = nn.Linear(2, 1).requires_grad_(False), nn.Linear(3, 1, bias=False)
    groups = [
        {"params": first.parameters(), "weight_decay": 0.25},
        {"params": second.parameters(), "lr": 0.125},
    ]
    saved = SGD(groups, lr=0.5).state_dict()["param_groups"]

    assert type(saved) is list
    assert [type(group) for group in saved] == [dict, dict]
    assert [group["params"] for group in saved] == [[0, 1], [2]]
    assert [group["lr"] for group in saved] == [0.5, 0.125]
    assert [group["weight_decay"] for group in saved] == [0.25, 0]


@pytest.mark.since("2.6")
def test_names_are_saved_too():
    """``Optimizer.state_dict()`` keeps parameter names from ``named_parameters()`` as ``param_names``.

    Each group has its own. An optimizer made from ``parameters()`` has none.
    """
    layer = nn.Linear(2, 1)

    named = SGD(layer.named_parameters(), lr=0.5).state_dict()["param_groups"][0]
    plain = SGD(layer.parameters(), lr=0.5).state_dict()["param_groups"][0]
    groups = [{"params": [pair]} for pair in layer.named_parameters()]
    first, second = SGD(groups, lr=0.5).state_dict()["param_groups"]

    assert named["param_names"] == ["weight", "bias"]
    assert "param_names" not in plain
    assert [first["param_names"], second["param_names"]] == [["weight"], ["bias"]]


def test_the_state_is_loaded_by_position():
    """:meth:`Optimizer.load_state_dict <torch.optim.Optimizer.load_state_dict>` matches parameters by
    position, not by shape.

    Only the numbers of groups and parameters are checked. Register layers in another order, and they get the
    state of others; at best the next step raises.
    """
    saving = SGD([nn.Parameter(torch.rand(3)), nn.Parameter(torch.rand(2))], lr=0.5, momentum=0.9)
    for size, weight in zip([3, 2], saving.param_groups[0]["params"], strict=True):
        weight.grad = torch.full((size,), float(size))
    saving.step()
    two, three = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))
    loading = SGD([two, three], lr=0.5, momentum=0.9)

    loading.load_state_dict(saving.state_dict())

    assert loading.state[two]["momentum_buffer"].tolist() == [3.0, 3.0, 3.0]
    assert loading.state[three]["momentum_buffer"].tolist() == [2.0, 2.0]
    two.grad, three.grad = torch.ones(2), torch.ones(3)
    with pytest.raises(RuntimeError, match=r"^The size of tensor a .* must match"):
        loading.step()
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        SGD([two], lr=0.5).load_state_dict(saving.state_dict())
    split = SGD([{"params": [two]}, {"params": [three]}], lr=0.5)
    for one, other in [(saving, split), (split, saving)]:
        with pytest.raises(ValueError, match="different number of parameter groups"):
            one.load_state_dict(other.state_dict())


def test_ids_may_be_any_keys():
    """``Optimizer.load_state_dict`` matches saved ids, even strings, to parameters by order in ``params``.

    The order of the entries in ``state`` does not matter.
    """
    first, second = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1))
    optimizer = SGD([first, second], lr=0.5, momentum=0.9)
    group = {**optimizer.state_dict()["param_groups"][0], "params": ["b", "a"]}
    state = {"a": {"momentum_buffer": torch.tensor([2.0])}, "b": {"momentum_buffer": torch.tensor([3.0])}}

    optimizer.load_state_dict({"state": state, "param_groups": [group]})

    assert optimizer.state[first]["momentum_buffer"].tolist() == [3.0]
    assert optimizer.state[second]["momentum_buffer"].tolist() == [2.0]
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 1]


@pytest.mark.since("2.6")
def test_names_do_not_decide():
    """``Optimizer.load_state_dict`` matches parameters by position, even if it loads other ``param_names``.

    The names loaded replace those of the optimizer. A pre-hook may sort the dict, to load by names.
    """
    first, second = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1))
    saving = SGD([("a", first), ("b", second)], lr=0.5, momentum=0.9)
    first.grad, second.grad = torch.tensor([2.0]), torch.tensor([3.0])
    saving.step()
    loading = SGD([("b", second), ("a", first)], lr=0.5, momentum=0.9)
    plain = SGD([second, first], lr=0.5, momentum=0.9)

    loading.load_state_dict(saving.state_dict())
    plain.load_state_dict(saving.state_dict())

    assert loading.state[second]["momentum_buffer"].item() == 2.0
    assert loading.state[first]["momentum_buffer"].item() == 3.0
    assert loading.param_groups[0]["param_names"] == ["a", "b"]
    assert plain.param_groups[0]["param_names"] == ["a", "b"]


@pytest.mark.since("2.6")
def test_a_hook_may_load_by_names():
    """A pre-hook of ``Optimizer.load_state_dict`` may sort the state by ``param_names``, to load by names.

    Otherwise the first state goes to the first parameter, whatever they are called.
    """
    a, b = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1))
    a.grad, b.grad = torch.tensor([2.0]), torch.tensor([3.0])
    saving = SGD([("a", a), ("b", b)], lr=0.5, momentum=0.9)
    saving.step()
    loading = SGD([("b", b), ("a", a)], lr=0.5, momentum=0.9)

    def by_names(optimizer, state_dict):
        (own,), (group,) = optimizer.param_groups, state_dict["param_groups"]
        places = [group["param_names"].index(name) for name in own["param_names"]]
        state = {new: state_dict["state"][old] for new, old in enumerate(places)}
        return {"state": state, "param_groups": [{**group, "param_names": own["param_names"]}]}

    loading.register_load_state_dict_pre_hook(by_names)
    loading.load_state_dict(saving.state_dict())

    assert [loading.state[p]["momentum_buffer"].item() for p in (a, b)] == [2.0, 3.0]
    assert loading.param_groups[0]["param_names"] == ["b", "a"]


@pytest.mark.since("2.6")
def test_names_stay_if_none_are_loaded():
    """``Optimizer.load_state_dict`` keeps ``param_names`` if the loaded parameter groups have none."""
    layer = nn.Linear(2, 1)
    optimizer = SGD([{"params": [pair]} for pair in layer.named_parameters()], lr=0.5)

    optimizer.load_state_dict(SGD([{"params": [p]} for p in layer.parameters()], lr=0.25).state_dict())

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    assert [group["param_names"] for group in optimizer.param_groups] == [["weight"], ["bias"]]


@pytest.mark.parametrize(
    ("scheduler", "options", "rate"),
    [
        (lr_scheduler.LinearLR, {"start_factor": 0.5}, 0.125),
        (lr_scheduler.LambdaLR, {"lr_lambda": lambda epoch: 0.5}, 0.125),
        (lr_scheduler.StepLR, {"step_size": 2, "gamma": 0.5}, 0.25),
        (lr_scheduler.ExponentialLR, {"gamma": 0.5}, 0.25),
    ],
    ids=["LinearLR", "LambdaLR", "StepLR", "ExponentialLR"],
)
def test_a_new_scheduler_may_change_a_loaded_rate(scheduler, options, rate):
    """Making ``LinearLR`` scales a learning rate that ``Optimizer.load_state_dict`` set; ``StepLR`` keeps it.

    ``LambdaLR`` scales it as well, ``ExponentialLR`` keeps it. Make the scheduler first, then load:
    ``load_state_dict`` sets the rate whatever it was.
    """
    saved = SGD([nn.Parameter(torch.rand(2))], lr=0.25).state_dict()
    before, after = (SGD([nn.Parameter(torch.rand(2))], lr=0.75) for _ in range(2))

    before.load_state_dict(saved)
    scheduler(before, **options)
    scheduler(after, **options)
    after.load_state_dict(saved)

    assert before.param_groups[0]["lr"] == rate
    assert after.param_groups[0]["lr"] == 0.25


def test_a_scheduler_notes_the_first_rate():
    """``StepLR`` or ``LambdaLR`` writes ``initial_lr`` into each group of its optimizer, which is saved too.

    So do the others but ``ReduceLROnPlateau``. ``Optimizer.load_state_dict`` takes it over. A dict that was
    saved without a scheduler has none. See :class:`torch.optim.lr_scheduler.StepLR`.
    """
    layer = nn.Linear(2, 1)
    groups = [{"params": [layer.weight], "lr": 0.25}, {"params": [layer.bias]}]
    optimizer, fresh, other = (SGD([{**group} for group in groups], lr=rate) for rate in (0.5, 0.75, 0.5))
    lr_scheduler.ReduceLROnPlateau(optimizer)
    lr_scheduler.LambdaLR(other, lambda epoch: 0.125)
    before = optimizer.state_dict()["param_groups"]
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    scheduler.step()
    after = optimizer.state_dict()["param_groups"]
    fresh.load_state_dict(optimizer.state_dict())

    assert [new.keys() - old.keys() for new, old in zip(after, before, strict=True)] == [{"initial_lr"}] * 2
    assert [group["lr"] for group in fresh.param_groups] == [0.125, 0.25]
    for each in (fresh, other):
        assert [group["initial_lr"] for group in each.param_groups] == [0.25, 0.5]


@pytest.mark.parametrize(("last_epoch", "rate"), [(0, 0.5), (2, 0.25)])
def test_a_scheduler_goes_on_from_the_first_rate(last_epoch, rate):
    """A scheduler made with ``last_epoch=0`` or more raises ``KeyError`` if a group lacks ``initial_lr``.

    Load the optimizer's state first, which brings it, or set it in the group (:issue:`160626`). With -1, the
    default, a scheduler starts anew. See :class:`torch.optim.lr_scheduler.LambdaLR`.
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))]} for _ in range(2)]
    optimizer = SGD(groups, lr=0.125)
    optimizer.param_groups[0]["initial_lr"] = 2.0
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups\\[1\\]"):
        lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch), last_epoch=last_epoch)

    optimizer.param_groups[1]["initial_lr"] = 1.0
    lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch), last_epoch=last_epoch)

    assert [group["lr"] for group in optimizer.param_groups] == [2 * rate, rate]

    anew = SGD([nn.Parameter(torch.rand(2))], lr=0.125)
    lr_scheduler.LambdaLR(anew, lambda epoch: 1 / (1 + epoch))

    assert [anew.param_groups[0][key] for key in ("lr", "initial_lr")] == [0.125, 0.125]


def test_lbfgs_needs_a_closure():
    """:class:`~torch.optim.LBFGS` raises ``TypeError`` in ``step()`` without a closure; ``SGD`` and ``Adam``
    do not.

    It computes the loss several times in one step.
    """
    weight, losses = nn.Parameter(torch.tensor([3.0])), []

    assert SGD([weight], lr=0.5).step() is None
    assert Adam([weight], lr=0.5).step() is None
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'closure'"):
        LBFGS([weight], lr=0.5).step()

    def closure():
        weight.grad = None
        losses.append((weight**2).sum())
        losses[-1].backward()
        return losses[-1]

    LBFGS([weight], lr=0.5).step(closure)
    assert len(losses) > 1


def test_the_values_of_a_dict_are_in_order():
    """An optimizer accepts ``dict.values()`` as parameters, and keeps them in the order of the dict.

    A dict of Python keeps its order from run to run, unlike a set.
    """
    layer = nn.Linear(2, 1)
    parameters = {"bias": layer.bias, "weight": layer.weight}

    held = SGD(parameters.values(), lr=0.5).param_groups[0]["params"]

    assert [id(p) for p in held] == [id(layer.bias), id(layer.weight)]


def test_adagrad_has_state_from_the_start():
    """``Adagrad`` makes its state when it is constructed; most optimizers do at the first step.

    A tool that exchanges parameters before training, as sharding does, has to exchange these keys too.
    """
    weight = nn.Parameter(torch.ones(2))

    others = [len(make([weight], lr=0.1).state) for make in (SGD, Adam, torch.optim.AdamW, LBFGS)]
    adagrad = torch.optim.Adagrad([weight], lr=0.1, initial_accumulator_value=5.0)

    assert others == [0, 0, 0, 0]
    assert adagrad.state[weight]["sum"].tolist() == [5.0, 5.0]


@pytest.mark.before("2.12")
def test_adagrad_did_not_know_a_later_parameter():
    """``Adagrad`` raises ``KeyError`` in ``step()`` for a parameter added by ``add_param_group``."""
    optimizer = torch.optim.Adagrad([nn.Parameter(torch.ones(2))], lr=0.1)
    late = nn.Parameter(torch.ones(2))
    late.grad = torch.ones(2)
    optimizer.add_param_group({"params": [late]})

    with pytest.raises(KeyError, match="sum"):
        optimizer.step()


@pytest.mark.since("2.12")
def test_adagrad_learns_of_a_later_parameter():
    """``Adagrad`` makes the state of a parameter added by ``add_param_group`` in ``step()``."""
    optimizer = torch.optim.Adagrad([nn.Parameter(torch.ones(2))], lr=0.5)
    late = nn.Parameter(torch.ones(2))
    late.grad = torch.full((2,), 3.0)
    optimizer.add_param_group({"params": [late]})

    optimizer.step()

    assert optimizer.state[late]["sum"].tolist() == [9.0, 9.0]
    assert late.tolist() == [0.5, 0.5]


def test_loaded_options_replace_those_of_the_constructor():
    """``Optimizer.load_state_dict`` replaces ``lr``, ``weight_decay`` and the like by those that were saved.

    A learning rate changed in the code is so without effect after a restart (:issue:`156846`). Set
    ``param_groups[0]["lr"]`` after loading, and for a scheduler ``initial_lr`` too.
    """
    layer = nn.Linear(2, 1)
    saving, loading = (
        SGD([{"params": [p]} for p in layer.parameters()], **options)
        for options in ({"lr": 0.5, "weight_decay": 0.25}, {"lr": 0.125, "momentum": 0.75})
    )
    saving.param_groups[1]["lr"] = 0.625
    assert [group["momentum"] for group in loading.param_groups] == [0.75, 0.75]

    loading.load_state_dict(saving.state_dict())

    loaded = [[group[name] for name in ("lr", "weight_decay", "momentum")] for group in loading.param_groups]
    assert loaded == [[0.5, 0.25, 0], [0.625, 0.25, 0]]


def test_a_new_group_leaves_the_state_of_the_others():
    """``add_param_group`` keeps the state of parameters that an optimizer has; new ones start without.

    So a model that grows during training keeps its momentum. A new optimizer would start without any.
    """
    old, new = (nn.Parameter(torch.tensor([3.0])) for _ in range(2))
    optimizer = SGD([old], lr=1.0, momentum=0.5)
    old.grad = torch.tensor([2.0])
    optimizer.step()

    optimizer.add_param_group({"params": [new]})
    assert optimizer.state[old]["momentum_buffer"].tolist() == [2.0]
    assert new not in optimizer.state

    old.grad, new.grad = torch.tensor([0.0]), torch.tensor([0.0])
    optimizer.step()
    assert [old.item(), new.item()] == [0.0, 3.0]
