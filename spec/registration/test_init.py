"""What ``Module.__init__`` does.

It creates ``_parameters``, ``_buffers`` and ``_modules``. Nothing can be registered before it has run, so
``super().__init__()`` comes first.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-15", "N5-16")
@pytest.mark.since("2.1")
def test_the_attributes_of_a_new_module():
    """A new ``nn.Module()`` has 17 instance attributes, such as ``_parameters``, ``_modules`` and
    ``training``.

    There is no ``_backend``, as older texts have it.
    """
    names = ["_parameters", "_buffers", "_modules"]
    names += ["_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs"]
    names += ["_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"]
    names += ["_state_dict_hooks", "_state_dict_pre_hooks"]
    names += ["_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"]
    others = {"training": True, "_non_persistent_buffers_set": set(), "_is_full_backward_hook": None}

    assert not hasattr(nn.Module(), "_backend")
    assert vars(nn.Module()) == {**{name: {} for name in names}, **others}


@pytest.mark.claim("N5-15", "N5-16")
@pytest.mark.before("2.1")
def test_the_attributes_without_always_called():
    """A new ``nn.Module()`` has 16 instance attributes, and no ``_forward_hooks_always_called``."""
    names = ["_parameters", "_buffers", "_modules"]
    names += ["_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs"]
    names += ["_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"]
    names += ["_state_dict_hooks", "_state_dict_pre_hooks"]
    names += ["_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"]
    others = {"training": True, "_non_persistent_buffers_set": set(), "_is_full_backward_hook": None}

    assert vars(nn.Module()) == {**{name: {} for name in names}, **others}


def test_hooks_are_kept_in_ordered_dicts():
    """The hook dictionaries of an ``nn.Module``, such as ``_forward_hooks``, are of type ``OrderedDict``."""
    hooks = {name: type(value) for name, value in vars(nn.Module()).items() if "_hooks" in name}

    assert {"_forward_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks"} <= set(hooks)
    assert set(hooks.values()) == {OrderedDict}


def test_modules_share_no_store():
    """Each new module has its own ``_parameters``, ``_buffers``, ``_modules`` and hook dictionaries."""
    first, second = vars(nn.Module()), vars(nn.Module())
    stores = [name for name, value in first.items() if isinstance(value, (dict, set))]

    assert {"_parameters", "_buffers", "_modules", "_forward_hooks"} <= set(stores)
    assert [name for name in stores if first[name] is second[name]] == []


def test_what_the_class_defines():
    """``nn.Module`` has ``_version = 1``, ``dump_patches = False`` and ``call_super_init = False``.

    ``_version`` is the version of the class's state dict; :attr:`~torch.nn.Module.dump_patches` has no
    effect any more; :attr:`~torch.nn.Module.call_super_init` makes ``__init__`` call the next class.
    """

    class Newer(nn.Module):
        _version = 5

    assert nn.Module._version == 1
    assert nn.Module().state_dict()._metadata == {"": {"version": 1}}
    assert Newer().state_dict()._metadata == {"": {"version": 5}}
    assert nn.Module.dump_patches is False
    assert nn.Module.call_super_init is False


def test_every_layer_is_a_module():
    """Layers, losses and containers of ``torch.nn`` are all subclasses of :class:`~torch.nn.Module`.

    Parameters and buffers are tensors, and no modules.
    """
    names = [name for name in nn.modules.__all__ if name != "LinearCrossEntropyOptions"]

    assert {"Linear", "MSELoss", "Sequential", "ModuleList", "LSTM"} <= set(names)
    assert [name for name in names if not issubclass(getattr(nn, name), nn.Module)] == []
    for tensor in (nn.Parameter(torch.rand(2)), nn.BatchNorm1d(4).running_mean):
        assert isinstance(tensor, torch.Tensor)
        assert not isinstance(tensor, nn.Module)


def test_a_new_module_is_in_training_mode():
    """A new :class:`nn.Module <torch.nn.Module>` is in training mode: ``module.training`` is ``True``.

    So a model that is loaded for use needs :meth:`~torch.nn.Module.eval`.
    """
    assert nn.Module().training is True
    assert [module.training for module in nn.Sequential(nn.ReLU(), nn.Dropout()).modules()] == [True] * 3
    assert nn.Sequential(nn.ReLU().eval()).training is True


@pytest.mark.question("Q03")
def test_no_module_before_init():
    """Assigning a submodule before ``super().__init__()`` raises ``AttributeError``.

    The module has no ``_modules`` yet. Call ``super().__init__()`` first in every ``__init__``; one that was
    forgotten in a base class, or in a dataclass, gives the same error.
    """

    class Net(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(2, 3)
            super().__init__()

    @dataclass
    class Config(nn.Module):
        width: int

    with pytest.raises(AttributeError, match=r"^cannot assign module before Module.__init__\(\) call$"):
        Net()
    with pytest.raises(AttributeError, match=r"^cannot assign module before Module.__init__\(\) call$"):
        Config(2).inner = nn.ReLU()


@pytest.mark.question("Q03")
@pytest.mark.parametrize("trained", [True, False])
def test_no_parameter_before_init(trained):
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` before ``super().__init__()`` raises
    ``AttributeError``.
    """

    class Net(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(torch.rand(2), requires_grad=trained)
            super().__init__()

    with pytest.raises(AttributeError, match=r"^cannot assign parameters before Module.__init__\(\) call$"):
        Net()


@pytest.mark.question("Q03")
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.since("2.5")
def test_no_buffer_before_init(persistent):
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` before ``super().__init__()`` raises
    ``AttributeError``.
    """

    class Net(nn.Module):
        def __init__(self):
            self.mean = nn.Buffer(torch.rand(2), persistent=persistent)
            super().__init__()

    with pytest.raises(AttributeError, match=r"^cannot assign buffer before Module.__init__\(\) call$"):
        Net()


@pytest.mark.question("Q03")
@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        (
            "register_parameter",
            nn.Parameter(torch.rand(2)),
            "cannot assign parameter before Module.__init__() call",
        ),
        ("register_buffer", torch.rand(2), "cannot assign buffer before Module.__init__() call"),
        ("add_module", nn.ReLU(), "'Net' object has no attribute '_modules'"),
    ],
    ids=["parameter", "buffer", "module"],
)
def test_no_registration_before_init(method, value, message):
    """``register_parameter``, ``register_buffer``, ``add_module`` raise ``AttributeError`` before
    ``super().__init__()``.

    The error is an ``AttributeError``; that of ``add_module`` does not say why.
    """

    class Net(nn.Module):
        def __init__(self, value):
            getattr(self, method)("name", value)

    for given in (value, None):
        with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
            Net(given)


@pytest.mark.question("Q03")
def test_plain_attributes_before_init():
    """Plain attributes can be assigned before ``super().__init__()`` of a module, and are kept.

    A tensor is plain too; only what has to be registered fails.
    """

    class Net(nn.Module):
        def __init__(self):
            self.width = 2
            self.sizes = [2, 3]
            self.hidden = torch.rand(self.width)
            super().__init__()

    net = Net()

    assert [net.width, net.sizes] == [2, [2, 3]]
    assert net.hidden.shape == (2,)


def test_init_again_forgets_everything():
    """Calling ``Module.__init__`` again removes parameters, buffers and submodules, but not plain attributes.

    It sets ``training`` to ``True`` too. So of several bases that each call ``nn.Module.__init__(self)`` the
    last forgets what the others registered.
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.inner = nn.ReLU()
    net.width = 2
    net.eval()
    nn.Module.__init__(net)

    assert [*net._parameters, *net._buffers, *net._non_persistent_buffers_set, *net._modules] == []
    assert net.training is True
    assert net.width == 2


def test_the_init_of_a_parent_may_be_left_out():
    """A subclass that calls ``nn.Module.__init__(self)``, not its parent's ``__init__``, can register layers.

    What the parent would have registered is then not there, while its methods are inherited
    (:issue:`130632`).
    """

    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.large = nn.Linear(2, 3)

        def double(self, x):
            return x * 2

    class Child(Parent):
        def __init__(self):
            nn.Module.__init__(self)
            self.small = nn.Linear(1, 1)

    child = Child()

    assert [name for name, _ in child.named_children()] == ["small"]
    assert child.double(3) == 6


def test_no_keyword_arguments():
    """By default ``Module.__init__`` raises a ``TypeError`` that names an unexpected keyword argument.

    Of several the first is named.
    """

    class Net(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"^Net.__init__\(\) got an unexpected .* argument 'width'$"):
        Net(width=2, depth=3)


def test_no_positional_arguments():
    """By default ``Module.__init__`` raises ``TypeError`` for positional arguments.

    The error counts ``self`` too.
    """

    class Net(nn.Module):
        pass

    for given, number in (((2,), 2), ((2, 3), 3)):
        message = rf"^Net.__init__\(\) takes 1 positional argument but {number} were given$"
        with pytest.raises(TypeError, match=message):
            Net(*given)


def test_the_next_class_is_not_initialised():
    """By default ``Module.__init__`` does not call the ``__init__`` of a mixin listed after ``nn.Module``.

    A mixin named after :class:`~torch.nn.Module` stays without its attributes. Name it before, or set
    :attr:`~torch.nn.Module.call_super_init`.
    """
    calls = []

    class Mixin:
        def __init__(self):
            calls.append("mixin")

    class Net(nn.Module, Mixin):
        pass

    Net()

    assert calls == []


def test_call_super_init():
    """With ``call_super_init = True``, ``Module.__init__`` passes all arguments to the next base class.

    By then the module is set up: the next class may register parameters (:pull:`91819`).
    """

    class Mixin:
        def __init__(self, width, height, *, depth, last):
            self.scale = nn.Parameter(torch.rand(width, height, depth, last))

    class Net(nn.Module, Mixin):
        call_super_init = True

    net = Net(2, 3, depth=4, last=5)

    assert [(name, p.shape) for name, p in net.named_parameters()] == [("scale", (2, 3, 4, 5))]


def test_call_super_init_without_a_next_class():
    """With ``call_super_init = True`` and no other base class, a constructor argument raises
    ``TypeError``.
    """

    class Net(nn.Module):
        call_super_init = True

    with pytest.raises(TypeError, match=r"object.__init__\(\) takes exactly one argument"):
        Net(2)
    with pytest.raises(TypeError, match=r"object.__init__\(\) takes exactly one argument"):
        Net(width=2)

    assert Net().training is True


def test_a_class_before_module_is_initialised():
    """In ``class Net(Mixin, nn.Module)``, ``Mixin`` gets the arguments and must call ``super().__init__()``.

    Without that call the module has no ``_modules``.
    """

    class Mixin:
        def __init__(self, width, **rest):
            super().__init__(**rest)
            self.width = width

    class Silent:
        def __init__(self, width):
            self.width = width

    class Net(Mixin, nn.Module):
        pass

    class Unready(Silent, nn.Module):
        pass

    assert [Net(width=2).width, Unready(width=2).width] == [2, 2]
    assert Net(width=2)._modules == {}
    assert not hasattr(Unready(width=2), "_modules")


def test_a_misspelled_constructor_is_not_called():
    """A class whose constructor is misspelled, such as ``_init_``, is a :class:`~torch.nn.Module` without
    parameters.

    Python calls ``__init__`` alone, with two underscores on either side. An optimizer then complains of an
    empty parameter list, or ``forward`` of a missing attribute.
    """

    class Net(nn.Module):
        def _init_(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x)

    net = Net()

    assert list(net.parameters()) == []
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'layer'"):
        net(torch.ones(2))
