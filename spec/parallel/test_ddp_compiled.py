"""DistributedDataParallel and ``torch.compile``.

Either may wrap the other. A compiled DDP model is cut into graphs by the buckets in which gradients are
exchanged.
"""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
def test_each_wrapper_adds_its_prefix(ranks):
    """``torch.compile(DDP(net))`` has keys ``_orig_mod.module.*``, ``DDP(torch.compile(net))``
    ``module._orig_mod.*``.

    Take off both, outer first, or save the state dict of ``net`` itself, whose keys have neither.

    See also :ref:`compilation.compiled_state.every_name_gets_the_prefix`
    """

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 1, bias=False))
        net.register_buffer("mean", torch.zeros(1))
        outside = torch.compile(DDP(net), backend="eager")
        inside = DDP(torch.compile(net, backend="eager"))
        return [list(model.state_dict()) for model in (net, outside, inside)]

    names = ["mean", "0.weight"]
    outside, inside = (
        (f"_orig_mod.module.{name}" for name in names),
        (f"module._orig_mod.{name}" for name in names),
    )
    assert ranks(wrap) == [[names, list(outside), list(inside)]] * 2


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_compiled_wrapper_averages(ranks):
    """``torch.compile(DDP(net))`` averages gradients as DDP alone does, of parametrized layers as well.

    See :issue:`113415`.
    """

    def train(rank):
        from torch.nn.utils.parametrizations import orthogonal

        results, x = [], torch.tensor([[rank + 1.0, 2.0]])
        for compiled in (False, True):
            torch.manual_seed(3)
            net = nn.Sequential(orthogonal(nn.Linear(2, 2, bias=False)), nn.Linear(2, 1, bias=False))
            model, inputs = torch.compile(DDP(net), backend="eager"), [x, 10 * x]
            if not compiled:  # alone, on the mean of what the ranks have
                model, inputs = net, [torch.tensor([[1.5, 2.0]]), torch.tensor([[15.0, 20.0]])]
            for each in inputs:
                model(each).sum().backward()
            results.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
        return torch.allclose(*results), results[1].tolist()

    (same, first), (_, second) = ranks(train)

    assert same is True
    assert first == second


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
@pytest.mark.before("2.2")
def test_a_compiled_wrapper_took_no_parametrized_layer(ranks):
    """``torch.compile(DDP(net))`` raises ``BackendCompilerFailed`` if a layer is parametrized.

    See :issue:`113415`.
    """

    def train(rank):
        from torch.nn.utils.parametrizations import orthogonal

        model = DDP(nn.Sequential(orthogonal(nn.Linear(2, 2)), nn.Linear(2, 1)))
        with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="compile_fn"):
            torch.compile(model, backend="eager")(torch.rand(1, 2))
        return True

    assert ranks(train) == [True, True]


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_a_compiled_module_is_averaged(ranks):
    """``DDP(torch.compile(net))`` averages gradients as DDP alone does, of parametrized layers as well."""

    def train(rank):
        from torch.nn.utils.parametrizations import orthogonal

        results, x = [], torch.tensor([[rank + 1.0, 2.0]])
        for compiled in (False, True):
            torch.manual_seed(3)
            net = nn.Sequential(orthogonal(nn.Linear(2, 2, bias=False)), nn.Linear(2, 1, bias=False))
            model, inputs = DDP(torch.compile(net, backend="eager")), [x, 10 * x]
            if not compiled:  # alone, on the mean of what the ranks have
                model, inputs = net, [torch.tensor([[1.5, 2.0]]), torch.tensor([[15.0, 20.0]])]
            for each in inputs:
                model(each).sum().backward()
            results.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
        return torch.allclose(*results), results[1].tolist()

    (same, first), (_, second) = ranks(train)

    assert same is True
    assert first == second


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
@pytest.mark.before("2.3")
def test_a_compiled_module_had_no_parametrized_layer(ranks):
    """``DDP(torch.compile(net))`` raises ``BackendCompilerFailed`` in a call if a layer is parametrized."""

    def train(rank):
        from torch.nn.utils.parametrizations import orthogonal

        net = nn.Sequential(orthogonal(nn.Linear(2, 2)), nn.Linear(2, 1))
        with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="compile_fn"):
            DDP(torch.compile(net, backend="eager"))(torch.rand(1, 2))
        return True

    assert ranks(train) == [True, True]


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
def test_the_way_to_the_module_differs(ranks):
    """``torch.compile(DDP(net))`` finds ``net`` as ``.module``, ``DDP(torch.compile(net))`` as
    ``.module._orig_mod``.

    A compiled module hands on the attributes of what it wraps, so ``.module`` works on both; ``._orig_mod``
    of the DDP model raises ``AttributeError``. Take off the outer one first, then look again.
    """

    def unwrap(rank):
        net = nn.Linear(2, 1, bias=False)
        outside = torch.compile(DDP(net), backend="eager")
        inside = DDP(torch.compile(net, backend="eager"))
        found = [outside.module is net, outside._orig_mod.module is net, inside.module._orig_mod is net]
        return [*found, inside.module is net, hasattr(inside, "_orig_mod"), list(inside.module.state_dict())]

    assert ranks(unwrap) == [[True, True, True, False, False, ["_orig_mod.weight"]]] * 2
