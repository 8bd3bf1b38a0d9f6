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
    """``torch.compile(DDP(net))`` has keys ``_orig_mod.module.``, ``DDP(torch.compile(net))`` the reverse.

    Take off both, outer first, or save the state dict of ``net`` itself, whose keys have neither.

    See also :ref:`compilation.compiled_state.every_name_gets_the_prefix`
    """

    def wrap(rank):
        net = nn.Linear(2, 1, bias=False)
        outside = torch.compile(DDP(net), backend="eager")
        inside = DDP(torch.compile(net, backend="eager"))
        return [list(model.state_dict()) for model in (net, outside, inside)]

    names = [["weight"], ["_orig_mod.module.weight"], ["module._orig_mod.weight"]]
    assert ranks(wrap) == [names, names]


@pytest.mark.needs("compile")
@pytest.mark.needs("distributed")
@pytest.mark.parametrize("outside", [True, False], ids=["around DDP", "inside DDP"])
def test_parametrized_layers_are_averaged(ranks, outside):
    """``torch.compile`` with DDP averages gradients as DDP alone does, of parametrized layers as well.

    See :issue:`113415`.
    """

    def train(rank, outside):
        from torch.nn.utils.parametrizations import orthogonal

        results = []
        for compiled in (False, True):
            torch.manual_seed(3)
            net = nn.Sequential(orthogonal(nn.Linear(2, 2, bias=False)), nn.Linear(2, 1, bias=False))
            options = {"backend": "eager", "disable": not compiled}
            inner = net if outside else torch.compile(net, **options)
            model = torch.compile(DDP(inner), **options) if outside else DDP(inner)
            model(torch.tensor([[rank + 1.0, 2.0]])).sum().backward()
            results.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
        return torch.allclose(*results), results[1].tolist()

    (same, first), (_, second) = ranks(train, outside)

    assert same is True
    assert first == second
