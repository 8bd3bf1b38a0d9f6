"""What goes into a checkpoint and comes out of it: containers of tensors, and gradients taken inside.

:func:`torch.utils.checkpoint.checkpoint` with ``use_reentrant=True`` is one function of autograd, which sees
tensors among its arguments and results and nothing deeper. With ``use_reentrant=False`` what is called builds
its graph as ever.
"""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Output = dataclasses.make_dataclass("Output", ["hidden"])


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (Output, lambda output: output.hidden),
        (lambda hidden: {"hidden": hidden}, lambda output: output["hidden"]),
        (lambda hidden: [hidden], lambda output: output[0]),
        (lambda hidden: ((hidden,),), lambda output: output[0][0]),
    ],
    ids=["dataclass", "dict", "list", "tuple in a tuple"],
)
def test_outputs_in_containers_lose_their_graph(wrap, unwrap, recwarn):
    """Tensors that ``checkpoint(use_reentrant=True)`` returns in a dict, list or dataclass require no grad.

    So the layers before them are not trained, and nothing warns. Return a tensor or a flat tuple, or use
    ``use_reentrant=False`` (:issue:`124725`).
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2, requires_grad=True)

    def forward(x):
        return wrap(layer(x))

    cut = unwrap(checkpoint(forward, x, use_reentrant=True))
    kept = unwrap(checkpoint(forward, x, use_reentrant=False))
    (flat,) = checkpoint(lambda x: (layer(x),), x, use_reentrant=True)

    assert [cut.requires_grad, kept.requires_grad, flat.requires_grad] == [False, True, True]
    assert [str(warning.message) for warning in recwarn] == []
    kept.sum().backward()
    assert torch.equal(layer.bias.grad, torch.full((3,), 4.0))


@pytest.mark.parametrize("wrap", [lambda x: {"x": x}, lambda x: [x]], ids=["dict", "list"])
def test_inputs_in_containers_are_not_seen(wrap):
    """``checkpoint(use_reentrant=True)`` does not see tensors in a dict or list among its inputs.

    If no other input requires grad, neither does the output. If one does, backward of the checkpoint goes on
    through the graph of the hidden one, and that graph is gone for whatever else needs it. Pass each tensor
    by itself, or use ``use_reentrant=False``.
    """
    weight, extra = (torch.ones(2, requires_grad=True) for _ in range(2))

    def forward(given, extra):
        (x,) = given.values() if isinstance(given, dict) else given
        return x * 3 + extra

    def train(reentrant):
        hidden = (weight * 2).exp()
        return checkpoint(forward, wrap(hidden), extra, use_reentrant=reentrant).sum() + hidden.sum()

    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        assert not checkpoint(forward, wrap(weight * 2), 1.0, use_reentrant=True).requires_grad
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        train(True).backward()
    weight.grad = None
    train(False).backward()
    assert torch.allclose(weight.grad, 8 * torch.tensor([2.0, 2.0]).exp())


def test_an_empty_input_lets_a_reentrant_checkpoint_train():
    """An extra input that requires grad, even an empty one, lets ``checkpoint(use_reentrant=True)`` train.

    It helps where all inputs are detached on purpose. The function has to take it, and needs not use it.
    """
    layer, x, extra = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 5.0]]), torch.empty(0)

    def forward(extra, x):
        return layer(x)

    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        assert checkpoint(forward, extra, x, use_reentrant=True).requires_grad is False
    checkpoint(forward, extra.requires_grad_(), x, use_reentrant=True).sum().backward()

    assert layer.weight.grad.tolist() == [[3.0, 5.0]]
    assert extra.grad is None or extra.grad.numel() == 0


@pytest.mark.since("2.1")
def test_autograd_grad_inside_a_checkpoint():
    """A function that calls :func:`autograd.grad <torch.autograd.grad>` works in
    ``checkpoint(use_reentrant=False)``.

    With ``use_reentrant=True`` the call raises ``RuntimeError``, since the first forward runs without grad
    mode. Give ``create_graph=True`` if the loss depends on the gradient (:issue:`102223`).
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 5.0]], requires_grad=True)

    def slope(x):
        (gradient,) = torch.autograd.grad(layer(x).pow(2).sum(), x, create_graph=True)
        return gradient

    slope(x).sum().backward()
    expected = layer.weight.grad.clone()
    layer.weight.grad = None
    checkpoint(slope, x, use_reentrant=False).sum().backward()

    assert torch.allclose(layer.weight.grad, expected)
    assert expected.abs().min() > 0
    with pytest.raises(RuntimeError, match="does not require grad"):
        checkpoint(slope, x, use_reentrant=True)


def test_attributes_of_inputs_are_lost():
    """The second forward of ``checkpoint(use_reentrant=True)`` does not see attributes set on its inputs.

    It runs on detached tensors. With ``use_reentrant=False`` they are the same objects (:issue:`111206`).
    """
    layer, x, seen = nn.Linear(2, 1), torch.rand(2, requires_grad=True), []
    x.tag = "left"

    def forward(x):
        seen.append(getattr(x, "tag", None))
        return layer(x)

    for reentrant in (True, False):
        checkpoint(forward, x, use_reentrant=reentrant).backward()
    assert seen == ["left", None, "left", "left"]
