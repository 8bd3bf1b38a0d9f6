"""Random first values that can be repeated: seeds and generators.

:func:`torch.manual_seed` seeds the default generator, from which every layer draws. The functions of
:mod:`torch.nn.init` also accept another generator.
"""

import pytest
import torch
from torch import nn

DRAWING = [
    pytest.param(nn.init.uniform_, (-2.0, 7.0), id="uniform_"),
    pytest.param(nn.init.normal_, (7.0, 0.5), id="normal_"),
    pytest.param(nn.init.xavier_uniform_, (3.0,), id="xavier_uniform_"),
    pytest.param(nn.init.xavier_normal_, (3.0,), id="xavier_normal_"),
    pytest.param(nn.init.kaiming_uniform_, (0.5,), id="kaiming_uniform_"),
    pytest.param(nn.init.kaiming_normal_, (0.5,), id="kaiming_normal_"),
    pytest.param(nn.init.orthogonal_, (3.0,), id="orthogonal_"),
]


@pytest.mark.claim("N5-07")
def test_a_seed_repeats_a_network():
    """With the same :func:`torch.manual_seed`, a network is initialized with the same weights.

    On the same device, that is: a GPU draws other values from the same seed.
    """

    def build(seed):
        torch.manual_seed(seed)
        convolutional = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
        recurrent = nn.Sequential(nn.Embedding(5, 2), nn.GRU(2, 3), nn.MultiheadAttention(4, 2))
        return nn.Sequential(*convolutional, *recurrent)

    first, again, other = build(7), build(7), build(8)

    assert [p.tolist() for p in first.parameters()] == [p.tolist() for p in again.parameters()]
    assert first[0].weight.tolist() != other[0].weight.tolist()


@pytest.mark.claim("N5-07")
def test_a_layer_more_changes_those_after_it():
    """After :func:`torch.manual_seed`, an additional layer changes the initial weights of later layers.

    Two networks that share their first layers alone start alike only there.
    """

    def build(*sizes):
        torch.manual_seed(7)
        return [nn.Linear(4, size).weight.tolist() for size in sizes]

    first, last = build(2, 3)
    same_first, _, other_last = build(2, 2, 3)

    assert first == same_first
    assert last != other_last


@pytest.mark.claim("N5-07")
@pytest.mark.parametrize("options", [{}, {"devices": []}], ids=["every device", "no device"])
def test_forking_keeps_the_seed_apart(options):
    """Under :func:`torch.random.fork_rng` a seed can be set without changing the random state outside.

    Give ``devices=[]`` where no GPU is used: by default the state of every GPU is saved.
    """
    before = torch.get_rng_state()

    with torch.random.fork_rng(**options):
        torch.manual_seed(7)
        seeded = nn.Linear(4, 3)

    assert torch.equal(torch.get_rng_state(), before)

    torch.manual_seed(7)

    assert nn.Linear(4, 3).weight.tolist() == seeded.weight.tolist()


@pytest.mark.since("2.2")
@pytest.mark.parametrize(("function", "arguments"), DRAWING)
def test_a_generator_decides_the_values(function, arguments):
    """``nn.init.normal_(..., generator=g)`` and similar functions draw from ``g`` (:issue:`98200`).

    The default generator stays where it is, so other draws are not disturbed.
    """
    torch.manual_seed(5)
    model = function(torch.empty(3, 5), *arguments)
    before = torch.get_rng_state()

    for tensor in (torch.empty(3, 5), nn.Parameter(torch.empty(3, 5))):
        weight = function(tensor, *arguments, generator=torch.Generator().manual_seed(5))
        assert weight.tolist() == model.tolist()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-0.5, 2.5), (2.0, 3.0)], ids=["wide", "lopsided", "tail"])
def test_a_generator_decides_truncated_values(bounds):
    """:func:`nn.init.trunc_normal_(..., generator=g) <torch.nn.init.trunc_normal_>` draws random numbers
    from ``g``.
    """
    torch.manual_seed(5)
    model = nn.init.trunc_normal_(torch.empty(30, 50), 0.0, 1.0, *bounds)
    before = torch.get_rng_state()

    for tensor in (torch.empty(30, 50), nn.Parameter(torch.empty(30, 50))):
        generator = torch.Generator().manual_seed(5)
        weight = nn.init.trunc_normal_(tensor, 0.0, 1.0, *bounds, generator=generator)
        assert weight.tolist() == model.tolist()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.since("2.2")
@pytest.mark.parametrize("std", [1.0, 0.5])
def test_a_generator_goes_on(std):
    """Two calls of ``nn.init.normal_`` with the same ``generator`` draw different values."""
    generator = torch.Generator().manual_seed(5)

    first, second = (nn.init.normal_(torch.empty(3), 0.0, std, generator=generator) for _ in range(2))
    generator.manual_seed(5)
    again = nn.init.normal_(torch.empty(3), 0.0, std, generator=generator)

    assert first.tolist() != second.tolist()
    assert first.tolist() == again.tolist()


@pytest.mark.since("2.2")
def test_a_generator_does_not_place_the_zeros():
    """``nn.init.sparse_(..., generator=g)`` draws values from ``g``, but chooses the zeros without ``g``.

    The places of the zeros come from the default generator, so both have to be seeded.
    """
    torch.manual_seed(1)
    first = nn.init.sparse_(torch.empty(20, 3), 0.5, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    second = nn.init.sparse_(torch.empty(20, 3), 0.5, generator=torch.Generator().manual_seed(5))

    both = (first != 0) & (second != 0)
    assert both.any()
    assert first[both].tolist() == second[both].tolist()
    assert (first == 0).tolist() != (second == 0).tolist()


@pytest.mark.since("2.2")
@pytest.mark.parametrize(
    "function", [nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_], ids=lambda f: f.__name__
)
def test_a_tensor_subclass_is_handed_the_generator(function):
    """``nn.init.normal_`` of a tensor subclass passes ``generator`` on to ``__torch_function__``.

    So do ``uniform_`` and ``kaiming_uniform_``.
    """

    class Recording(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return kwargs["generator"]

    generator = torch.Generator()

    assert function(torch.rand(2, 3).as_subclass(Recording), generator=generator) is generator
