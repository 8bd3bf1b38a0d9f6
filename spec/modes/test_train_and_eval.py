"""Switching the mode.

``training`` is an attribute of every module. ``train`` and ``eval`` set it for a module and all below it.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-36", "N5-24")
def test_eval_sets_training_to_false():
    """:meth:`Module.eval() <torch.nn.Module.eval>` sets ``training`` to ``False`` for the module and all its
    submodules.

    The mode of a module is its attribute :attr:`~torch.nn.Module.training`. It decides what dropout,
    batch normalization and a few other layers do; gradients are recorded as before.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Sequential(nn.Dropout())))
    net[0].register_module("empty", None)
    net[0].weights = nn.ParameterList()
    net[1].training = False
    net.eval()

    assert [module.training for module in net.modules()] == [False] * 6
    assert net(torch.rand(2)).requires_grad is True


@pytest.mark.claim("N2-36", "N5-24")
def test_train_sets_training_to_true():
    """:meth:`Module.train() <torch.nn.Module.train>` sets ``training`` to ``True`` for the module and all its
    submodules.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Sequential(nn.Dropout()))).eval()
    net[0].register_module("empty", None)
    net[1].training = True
    net.train()

    assert [module.training for module in net.modules()] == [True] * 5


def test_train_takes_the_mode():
    """``net.train(False)`` is the same as ``net.eval()``."""
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3)))
    net.train(False)

    assert [module.training for module in net.modules()] == [False, False, False]

    net.train(mode=True)

    assert [module.training for module in net.modules()] == [True, True, True]


@pytest.mark.question("Q41")
def test_both_return_the_module():
    """``net.train()`` and ``net.eval()`` return ``net`` itself.

    So ``model = Model().eval()`` is fine.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    assert net.train() is net
    assert net.train(False) is net
    assert net.eval() is net


@pytest.mark.parametrize(
    "mode", ["x", 1, 0, None, torch.tensor(True)], ids=["string", "one", "zero", "none", "tensor"]
)
def test_the_mode_is_a_bool(mode):
    """``net.train(mode)`` raises ``ValueError`` if ``mode`` is not a ``bool`` and leaves ``training``
    unchanged.

    An optimizer or a data loader passed by mistake is caught that way.
    """
    net = nn.Sequential(nn.Linear(2, 3)).eval()

    with pytest.raises(ValueError, match=r"^training mode is expected to be boolean$"):
        net.train(mode)

    assert [module.training for module in net.modules()] == [False, False]


def test_a_submodule_alone_is_switched():
    """``net[1].eval()`` puts only that submodule in eval mode, until ``net.train()`` is called."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout())
    net[1].eval()

    assert [module.training for module in net.modules()] == [True, True, False]

    net.train()

    assert [module.training for module in net.modules()] == [True, True, True]


def test_the_attribute_can_be_set():
    """Setting ``net.training = False`` changes ``net`` only; its submodules stay in training mode.

    Call :meth:`~torch.nn.Module.eval` instead.
    """
    net = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Linear(2, 3))
    net.training = False

    assert [module.training for module in net.modules()] == [False, True, True, True]


def test_a_later_submodule_keeps_its_mode():
    """A submodule assigned after ``net.eval()`` keeps its own mode: a new layer is in training mode.

    A head put on a model that is already in evaluation mode still drops: call ``eval()`` when all is there.
    """
    net = nn.Module().eval()
    net.head = nn.Dropout()
    assert [module.training for module in net.modules()] == [False, True]

    net.train().head = nn.Dropout().eval()
    assert [module.training for module in net.modules()] == [True, False]


def test_every_submodule_is_asked():
    """``net.train(mode)`` calls ``train(mode)`` of each child module, also where a child overrides it."""
    calls = []

    class Layer(nn.Module):
        def train(self, on=True):
            calls.append(on)
            return super().train(on)

    net = nn.Sequential(Layer(), nn.Sequential(Layer()))
    net.train()
    net.eval()

    assert calls == [True, True, False, False]


def test_eval_calls_train():
    """``net.eval()`` calls ``net.train(False)``, so overriding ``train`` is enough for both."""
    calls = []

    class Net(nn.Module):
        def train(self, on=True):
            calls.append(on)
            return "what train returns"

    assert Net().eval() == "what train returns"
    assert calls == [False]


def test_a_train_without_mode_breaks_eval():
    """A ``train`` of one's own without the argument ``mode`` makes ``eval()`` of the model raise
    ``TypeError``.

    :meth:`~torch.nn.Module.eval` calls ``train(False)``, of every submodule too. Define
    ``def train(self, mode=True)``, and return ``super().train(mode)``.
    """

    class Net(nn.Linear):
        def train(self):
            return super().train()

    net = nn.Sequential(Net(2, 3))

    for switch in (net.eval, net.train, net[0].eval):
        with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
            switch()
    assert net[0].train() is net[0]


def test_an_eval_of_a_child_is_not_called():
    """``net.eval()`` calls ``train(False)`` of each child module, not an ``eval`` that a child overrides.

    Override ``train``, which serves both.
    """
    calls = []

    class Layer(nn.Module):
        def eval(self):
            calls.append("eval")
            return super().eval()

        def train(self, mode=True):
            calls.append(f"train({mode})")
            return super().train(mode)

    net = nn.Sequential(Layer())
    net.eval()

    assert calls == ["train(False)"]
    assert net[0].training is False


def test_eval_leaves_gradients_on():
    """``net.eval()`` does not turn off gradients; :class:`torch.no_grad() <torch.no_grad>` does.

    Evaluation with ``eval()`` alone keeps the graph of every output and may run out of memory. Use both.

    See also :ref:`gradients.accumulation.no_grad_builds_no_graph`
    """
    net = nn.Linear(2, 3).eval()
    out = net(torch.rand(4, 2))
    assert out.requires_grad is True

    out.sum().backward()
    assert [parameter.grad.shape for parameter in net.parameters()] == [(3, 2), (3,)]
    with torch.no_grad():
        assert net(torch.rand(4, 2)).requires_grad is False


@pytest.mark.parametrize("quiet", [torch.no_grad, torch.inference_mode])
def test_no_grad_leaves_the_mode(quiet):
    """:class:`torch.no_grad() <torch.no_grad>` and :class:`torch.inference_mode() <torch.inference_mode>` do
    not put a module in eval mode.

    Dropout drops and batch normalization updates its statistics there as well.
    """
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(1.0))
    with quiet():
        out = net(torch.rand(4, 3) + 1)
        assert [module.training for module in net.modules()] == [True, True, True]

    assert out.tolist() == [[0, 0, 0]] * 4
    assert net[0].num_batches_tracked.item() == 1
    assert (net[0].running_mean > 0).all()
    assert (net[0].running_var < 1).all()


def test_freezing_leaves_the_mode():
    """:meth:`Module.requires_grad_(False) <torch.nn.Module.requires_grad_>` does not put a module in eval
    mode.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.BatchNorm1d(3)).requires_grad_(False)

    assert [module.training for module in net.modules()] == [True, True, True, True]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_the_mode_is_not_saved(training):
    """``Module.state_dict()`` does not save ``training``; ``load_state_dict`` leaves the mode unchanged."""
    saved = nn.Sequential(nn.Dropout(), nn.Linear(2, 3)).train(not training).state_dict()
    net = nn.Sequential(nn.Dropout(), nn.Linear(2, 3)).train(training)
    net.load_state_dict(saved)

    assert list(saved) == ["1.weight", "1.bias"]
    assert [module.training for module in net.modules()] == [training] * 3


@pytest.mark.parametrize(
    "layer", [nn.Linear(4, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.ReLU(), nn.Softmax(-1)], ids=repr
)
def test_most_layers_compute_the_same(layer):
    """``Linear``, ``LayerNorm``, ``GroupNorm``, ``ReLU`` and ``Softmax`` compute the same in training and
    eval mode.

    So do most others. *dropout*, *batch_norm*, *instance_norm* and *randomness_inside* are about those that
    do not.
    """
    x = 10 * torch.randn(3, 4)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)

    assert torch.equal(layer.train()(x), layer.eval()(x))
    with torch.no_grad():
        assert torch.equal(layer.train()(x), layer.eval()(x))


@pytest.mark.parametrize(
    "make", [lambda: nn.Dropout(1.0), lambda: nn.BatchNorm1d(2)], ids=["Dropout", "BatchNorm1d"]
)
def test_a_layer_built_in_forward_is_in_training_mode(make):
    """An ``nn.Dropout`` or ``nn.BatchNorm1d`` that ``forward`` builds is in training mode, even after
    ``eval()``.

    So dropout stays on, and BatchNorm has no statistics but those of the batch. Build layers in ``__init__``;
    if one must be built later, hand on the mode: ``layer.train(self.training)``.
    """
    x, modes = torch.tensor([[1.0, 5.0], [3.0, 9.0]]), []

    class Net(nn.Module):
        def forward(self, x):
            layer = make()
            modes.append(layer.training)
            return layer(x), make().train(self.training)(x)

    as_built, told = Net().eval()(x)

    assert modes == [True]
    assert torch.allclose(as_built, x, atol=0.1) is False
    assert torch.allclose(told, x, atol=0.1) is True


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        *[(layer, (4,)) for layer in (nn.Linear(4, 3), nn.BatchNorm1d(4), nn.Dropout(), nn.Softmax(-1))],
        *[
            (layer, (4, 5))
            for layer in (nn.BatchNorm1d(4), nn.LayerNorm(5), nn.GroupNorm(2, 4), nn.LPPool1d(2, 3))
        ],
        *[(layer, (4, 5, 6)) for layer in (nn.BatchNorm2d(4), nn.Conv2d(4, 3, 2), nn.InstanceNorm2d(4))],
        (nn.BatchNorm3d(4), (4, 5, 6, 7)),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (5, 4)),
    ],
)
def test_in_evaluation_samples_do_not_meet(layer, shape):
    """In ``eval()`` the output for a sample is the same in every batch, up to rounding.

    Up to rounding only: products of another size may be summed in another order, so compare with a tolerance
    (:issue:`58128`). In training ``BatchNorm`` mixes the samples, and with ``track_running_stats=False`` in
    ``eval()`` as well.
    """
    x, mixing = torch.randn(8, *shape), nn.BatchNorm1d(4, track_running_stats=False).eval()

    one_by_one = torch.cat([layer.eval()(x[i : i + 1]) for i in range(8)])

    torch.testing.assert_close(layer(x), one_by_one)
    torch.testing.assert_close(torch.no_grad()(layer)(x[:3]), one_by_one[:3])
    flat = torch.randn(8, 4)
    assert not torch.allclose(mixing(flat)[:3], mixing(flat[:3]), atol=1e-3)


def test_an_attribute_named_train_breaks_eval():
    """A module with an attribute named ``train``, such as a flag, raises ``TypeError`` in ``eval()``.

    The attribute hides the method that :meth:`~torch.nn.Module.eval` calls, of submodules too. Give the flag
    another name.
    """

    class Net(nn.Linear):
        def __init__(self):
            super().__init__(2, 3)
            self.train = True

    for net in (Net(), nn.Sequential(Net())):
        with pytest.raises(TypeError, match="'bool' object is not callable"):
            net.eval()


def test_eval_returns_what_train_returns():
    """``net.eval()`` returns ``None`` if an overridden ``train`` lacks ``return``.

    Then ``net = net.eval()`` loses the model. End an override with ``return self``; the ``eval()`` of a
    parent does not look at what its submodules return.
    """

    class Net(nn.Linear):
        def train(self, mode=True):
            super().train(mode)

    net = Net(2, 3)
    parent = nn.Sequential(net)

    assert net.eval() is None
    assert net.training is False
    assert parent.train() is parent
    assert net.training is True
