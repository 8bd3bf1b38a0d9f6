"""What Adam and its relatives compute from the gradients of several steps.

Adam keeps a mean of the gradients and a mean of their squares, corrects both for having begun at zero, and
divides one by the root of the other. NAdam, RAdam and Adamax change a part of that each. Decay is the subject
of *weight_decay*, dtypes of the state that of *bfloat16*.
"""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.optim import Adam, Adamax, AdamW, NAdam, RAdam


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("make", [Adam, AdamW], ids=["Adam", "AdamW"])
def test_both_means_are_corrected(make, foreach):
    """``Adam`` and ``AdamW`` divide ``exp_avg`` and ``exp_avg_sq`` by ``1 - beta ** step``, and step by mean
    / root.

    The state holds the means as they are, begun at zero. With gradients of one size and changing sign steps
    get short: that is the momentum of the first beta.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = make([weight], lr=1.0, betas=(0.5, 0.75), weight_decay=0.0, foreach=foreach)
    for grad in (4.0, -4.0, 8.0):
        before, weight.grad = weight[1].item(), torch.tensor([7.0, grad])
        optimizer.step()
        state = optimizer.state[weight]
        seen.append((state["exp_avg"][1].item(), state["exp_avg_sq"][1].item(), before - weight[1].item()))

    assert [found[:2] for found in seen] == [(2.0, 4.0), (-1.0, 7.0), (3.5, 21.25)]
    expected = [(2 / 0.5) / 4, (-1 / 0.75) / 4, (3.5 / 0.875) / math.sqrt(21.25 / (1 - 0.75**3))]
    assert [found[2] for found in seen] == pytest.approx(expected)


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_epsilon_comes_after_the_root(foreach):
    """``Adam`` adds ``eps`` after the root of ``exp_avg_sq``: a gradient of ``eps`` steps by half of ``lr``.

    So steps depend on the size of gradients once these come near ``eps``, 1e-8 by default.
    """
    found = {}
    for grad, eps in [(2.0, 2.0), (6.0, 2.0), (1e-8, None), (1e-3, None)]:
        weight = nn.Parameter(torch.zeros(2))
        options = {} if eps is None else {"eps": eps}
        weight.grad = torch.tensor([7.0, grad])
        Adam([weight], lr=1.0, betas=(0.5, 0.75), foreach=foreach, **options).step()
        found[grad] = -weight[1].item()

    assert found == pytest.approx({2.0: 2 / (2 + 2), 6.0: 6 / (6 + 2), 1e-8: 0.5, 1e-3: 1.0}, rel=1e-4)


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_the_maximum_is_taken_before_the_correction(foreach):
    """``Adam(amsgrad=True)`` divides by the largest ``exp_avg_sq`` so far, corrected for the step of now.

    ``max_exp_avg_sq`` is the maximum of the uncorrected means: when gradients get small, the divisor still
    falls a little at first. See :issue:`142323`.
    """
    found = {}
    for amsgrad in (True, False):
        weight = nn.Parameter(torch.zeros(2))
        optimizer = Adam([weight], lr=1.0, betas=(0.5, 0.75), amsgrad=amsgrad, foreach=foreach)
        for grad in (4.0, 0.0):
            before, weight.grad = weight[1].item(), torch.tensor([7.0, grad])
            optimizer.step()
        found[amsgrad] = before - weight[1].item()
        assert optimizer.state[weight]["exp_avg_sq"][1].item() == 3.0
        assert ("max_exp_avg_sq" in optimizer.state[weight]) is amsgrad

    mean, correction = 1.0 / 0.75, 1 - 0.75**2
    assert found[True] == pytest.approx(mean / math.sqrt(4.0 / correction))
    assert found[False] == pytest.approx(mean / math.sqrt(3.0 / correction))


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_each_parameter_counts_its_own_steps(foreach):
    """``Adam`` counts ``step`` for each parameter: a ``grad`` of ``None`` leaves count and means as they are.

    A layer thawed in the middle of a training begins with a first step, of the full ``lr``, and one that
    was frozen for a while goes on where it was.
    """
    first, second = nn.Parameter(torch.tensor([0.0])), nn.Parameter(torch.tensor([0.0]))
    optimizer, moved = Adam([first, second], lr=1.0, betas=(0.5, 0.75), foreach=foreach), []
    for one, two in [(4.0, None), (None, None), (-4.0, 8.0)]:
        before = first.item(), second.item()
        first.grad = None if one is None else torch.tensor([one])
        second.grad = None if two is None else torch.tensor([two])
        optimizer.step()
        moved.append((before[0] - first.item(), before[1] - second.item()))

    assert moved == [pytest.approx(pair) for pair in [(1.0, 0.0), (0.0, 0.0), (-1 / 3, 1.0)]]
    assert [optimizer.state[each]["step"].item() for each in (first, second)] == [2.0, 1.0]


@pytest.mark.since("2.2")
@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_float16_has_no_such_epsilon(foreach):
    """``Adam`` makes a float16 weight NaN if its gradient is 0 from the start: ``eps=1e-8`` rounds to 0
    there.

    Zero is divided by zero. With ``eps=1e-4``, or in bfloat16, the weight stays; better keep weights in
    float32 and use autocast. See :class:`torch.optim.Adam`.
    """
    found = {}
    for dtype, eps in [(torch.float16, 1e-8), (torch.float16, 1e-4), (torch.bfloat16, 1e-8)]:
        weight = nn.Parameter(torch.tensor([1.0, 1.0], dtype=dtype, device="cpu"))
        weight.grad = torch.tensor([0.0, 2.0], dtype=dtype, device="cpu")
        Adam([weight], lr=0.5, eps=eps, foreach=foreach).step()
        found[dtype, eps] = weight.isnan().tolist()

    assert found[torch.float16, 1e-8] == [True, False]
    assert found[torch.float16, 1e-4] == [False, False]
    assert found[torch.bfloat16, 1e-8] == [False, False]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_complex_weights_are_pairs(foreach):
    """``Adam`` takes a complex weight for two real ones: both parts make a first step of ``lr``.

    Plain ``SGD`` goes along the complex gradient, which points the same way everywhere.
    """
    found = []
    for make in (Adam, torch.optim.SGD):
        weight = nn.Parameter(torch.zeros(1, dtype=torch.complex64))
        weight.grad = torch.tensor([3 - 4j])
        make([weight], lr=1.0, foreach=foreach).step()
        found.append(weight.item())

    assert found == [pytest.approx(-1 + 1j), -3 + 4j]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_complex_weights_of_others(foreach):
    """``RMSprop``, ``Adagrad``, ``Adamax``, ``ASGD`` and ``Rprop`` take a complex weight as two real ones."""
    names = ["RMSprop", "Adagrad", "Adamax", "ASGD", "Rprop"]
    for kind in [getattr(torch.optim, name) for name in names]:
        weight, pair = nn.Parameter(torch.tensor([1 + 2j])), nn.Parameter(torch.tensor([[1.0, 2.0]]))
        optimizers = kind([weight], lr=0.5, foreach=foreach), kind([pair], lr=0.5, foreach=foreach)
        for gradient in (3 - 4j, -7 + 1j):
            weight.grad, pair.grad = torch.tensor([gradient]), torch.tensor([[gradient.real, gradient.imag]])
            for optimizer in optimizers:
                optimizer.step()
        torch.testing.assert_close(torch.view_as_real(weight.detach()), pair.detach())


@pytest.mark.since("2.2")
@pytest.mark.parametrize(("name", "foreach"), [("NAdam", False), ("NAdam", True), ("Adadelta", True)])
def test_complex_weights_of_nadam(name, foreach):
    """``NAdam``, and ``Adadelta(foreach=True)``, take a complex weight for two real ones."""
    kind = getattr(torch.optim, name)
    weight, pair = nn.Parameter(torch.tensor([1 + 2j])), nn.Parameter(torch.tensor([[1.0, 2.0]]))
    optimizers = kind([weight], lr=0.5, foreach=foreach), kind([pair], lr=0.5, foreach=foreach)
    for gradient in (3 - 4j, -7 + 1j):
        weight.grad, pair.grad = torch.tensor([gradient]), torch.tensor([[gradient.real, gradient.imag]])
        for optimizer in optimizers:
            optimizer.step()

    torch.testing.assert_close(torch.view_as_real(weight.detach()), pair.detach())


@pytest.mark.before("2.2")
@pytest.mark.parametrize(("name", "foreach"), [("NAdam", False), ("NAdam", True), ("Adadelta", True)])
def test_the_imaginary_part_was_left_alone(name, foreach):
    """The first step of ``NAdam``, and of ``Adadelta(foreach=True)``, leaves the imaginary part alone.

    Nothing tells of it but a warning that values are cast.
    """
    weight = nn.Parameter(torch.tensor([1 + 2j]))
    weight.grad = torch.tensor([3 - 4j])
    optimizer = getattr(torch.optim, name)([weight], lr=0.5, foreach=foreach)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.step()

    assert weight.real.item() < 1.0
    assert weight.imag.item() == 2.0


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_adamax_takes_the_largest(foreach):
    """``Adamax`` divides the corrected mean by ``exp_inf``, the largest of ``beta2 * exp_inf`` and the
    gradient.

    ``exp_inf`` needs no correction. See :class:`torch.optim.Adamax`.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = Adamax([weight], lr=1.0, betas=(0.5, 0.75), foreach=foreach)
    for grad in (4.0, -1.0, -8.0):
        before, weight.grad = weight[1].item(), torch.tensor([7.0, grad])
        optimizer.step()
        seen.append((optimizer.state[weight]["exp_inf"][1].item(), before - weight[1].item()))

    expected = [(4.0, 4 / 4), (3.0, (0.5 / 0.75) / 3), (8.0, (-3.75 / 0.875) / 8)]
    assert seen == [pytest.approx(pair) for pair in expected]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_nadam_looks_ahead(foreach):
    """``NAdam`` steps along a mix of the gradient and ``exp_avg`` of the coming step: first more than ``lr``.

    With ``momentum_decay=0`` the share of the mean is the same at every step, half of the first beta.
    """
    weight, seen = nn.Parameter(torch.zeros(2)), []
    optimizer = NAdam([weight], lr=1.0, betas=(0.5, 0.75), momentum_decay=0.0, foreach=foreach)
    for grad in (4.0, -4.0):
        before, weight.grad = weight[1].item(), torch.tensor([7.0, grad])
        optimizer.step()
        seen.append((optimizer.state[weight]["mu_product"].item(), before - weight[1].item()))

    share = 0.25
    steps = [4 * (1 - share) / (1 - share) + 2 * share / (1 - share**2)]
    steps += [-4 * (1 - share) / (1 - share**2) - 1 * share / (1 - share**3)]
    assert seen == [pytest.approx((share, steps[0] / 4)), pytest.approx((share**2, steps[1] / 4))]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_radam_begins_without_a_divisor(foreach):
    """The first five steps of ``RAdam``, with its defaults, are ``lr`` times the corrected mean, undivided.

    So they depend on the size of the gradient, unlike those of ``Adam``; from the sixth on it is divided. A
    warm-up of the rate does not belong to it. See :class:`torch.optim.RAdam`.
    """
    found = {}
    for size in (1.0, 2.0):
        weight, steps, means, mean = nn.Parameter(torch.tensor([0.0])), [], [], 0.0
        optimizer = RAdam([weight], lr=1.0, foreach=foreach)
        for step, grad in enumerate([4.0, -3.0, 2.0, 5.0, 6.0, 8.0, 7.0], 1):
            before, weight.grad = weight.item(), torch.tensor([size * grad])
            optimizer.step()
            steps.append(before - weight.item())
            mean = 0.9 * mean + 0.1 * size * grad
            means.append(mean / (1 - 0.9**step))
        found[size] = steps
        assert steps[:5] == pytest.approx(means[:5], rel=1e-4)

    assert found[1.0][5:] == pytest.approx(found[2.0][5:], rel=1e-3)
    assert 0 < found[1.0][5] < found[1.0][6] < 0.1


@pytest.mark.parametrize(("grad", "decayed"), [(0.0, 0.95), (3.0, 0.85)])
@pytest.mark.since("2.7")
def test_adam_may_decay_apart(grad, decayed):
    """``Adam(decoupled_weight_decay=True)`` does what ``AdamW`` does, which is a subclass of ``Adam``.

    So ``isinstance(optimizer, Adam)`` is true of both: ask for ``AdamW`` first.
    """
    found = []
    for make, options in [(AdamW, {}), (Adam, {"decoupled_weight_decay": True})]:
        weight = nn.Parameter(torch.tensor([1.0]))
        weight.grad = torch.tensor([grad])
        make([weight], lr=0.1, weight_decay=0.5, **options).step()
        found.append(weight.item())

    assert found == pytest.approx([decayed, decayed])
    assert issubclass(AdamW, Adam)
    assert AdamW([weight]).param_groups[0]["decoupled_weight_decay"] is True


@pytest.mark.before("2.7")
def test_adamw_was_a_class_of_its_own():
    """``AdamW`` is not a subclass of ``Adam``: both derive from ``Optimizer`` alone."""
    assert AdamW.__bases__ == Adam.__bases__ == (torch.optim.Optimizer,)
    assert not isinstance(AdamW([nn.Parameter(torch.zeros(1))]), Adam)


def test_sparse_adam_moves_rows_of_the_batch():
    """``SparseAdam`` moves only the rows that were looked up, and counts ``step`` for all rows together.

    ``Adam`` of an ``Embedding`` without ``sparse=True`` moves a row on by its momentum in later steps. The
    first step of a row may be shorter than ``lr``. See :class:`torch.optim.SparseAdam`.
    """
    seen = {}
    for sparse, make in ((True, torch.optim.SparseAdam), (False, torch.optim.Adam)):
        layer = nn.Embedding.from_pretrained(torch.zeros(3, 1), freeze=False, sparse=sparse)
        optimizer = make(layer.parameters(), lr=1.0)
        for row in (1, 2):
            optimizer.zero_grad()
            layer(torch.tensor([row])).sum().backward()
            optimizer.step()
        seen[sparse] = [round(value, 3) for value in layer.weight.flatten().tolist()]

    assert seen == {True: [0.0, -1.0, -0.744], False: [0.0, -1.67, -0.744]}
