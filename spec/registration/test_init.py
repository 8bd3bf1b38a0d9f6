"""What ``Module.__init__`` does.

It sets up the stores. Nothing can be registered before it has run, so ``super().__init__()`` comes first.
"""

import re
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-15", "N5-16")
@pytest.mark.since("2.1")
@pytest.mark.observed
def test_the_attributes_of_a_new_module():
    """A new module has these attributes and no others: mode, stores and dictionaries of hooks."""
    names = ["_parameters", "_buffers", "_modules"]
    names += ["_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs"]
    names += ["_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"]
    names += ["_state_dict_hooks", "_state_dict_pre_hooks"]
    names += ["_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"]
    others = {"training": True, "_non_persistent_buffers_set": set(), "_is_full_backward_hook": None}

    assert vars(nn.Module()) == {**{name: {} for name in names}, **others}


@pytest.mark.claim("N5-15", "N5-16")
@pytest.mark.before("2.1")
@pytest.mark.observed
def test_the_attributes_without_always_called():
    """A new module has no dictionary of the forward hooks that are always called."""
    names = ["_parameters", "_buffers", "_modules"]
    names += ["_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs"]
    names += ["_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"]
    names += ["_state_dict_hooks", "_state_dict_pre_hooks"]
    names += ["_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"]
    others = {"training": True, "_non_persistent_buffers_set": set(), "_is_full_backward_hook": None}

    assert vars(nn.Module()) == {**{name: {} for name in names}, **others}


@pytest.mark.claim("N5-16")
def test_there_is_no_backend():
    """A module has no ``_backend`` attribute."""
    assert not hasattr(nn.Linear(2, 3), "_backend")


@pytest.mark.observed
def test_hooks_are_kept_in_ordered_dicts():
    """The dictionaries of hooks are of the type ``OrderedDict``."""
    hooks = {name: type(value) for name, value in vars(nn.Module()).items() if name.endswith("hooks")}

    assert set(hooks.values()) == {OrderedDict}
    assert len(hooks) == 8


@pytest.mark.observed
def test_modules_share_no_store():
    """Every module has stores and dictionaries of its own."""
    first, second = vars(nn.Module()), vars(nn.Module())
    stores = [name for name, value in first.items() if isinstance(value, (dict, set))]

    assert {"_parameters", "_buffers", "_modules", "_forward_hooks"} <= set(stores)
    assert [name for name in stores if first[name] is second[name]] == []


@pytest.mark.observed
def test_what_the_class_defines():
    """``Module`` has version 1, and its ``dump_patches`` and ``call_super_init`` are false.

    ``_version`` tells a state dict which layout the class has; :attr:`~torch.nn.Module.dump_patches` has no
    effect any more; :attr:`~torch.nn.Module.call_super_init` makes ``__init__`` call the next class.
    """
    assert (nn.Module._version, nn.Module.dump_patches, nn.Module.call_super_init) == (1, False, False)


def test_a_new_module_is_in_training_mode():
    """A new module is in training mode."""
    assert nn.Module().training is True
    assert [module.training for module in nn.Sequential(nn.ReLU(), nn.Dropout()).modules()] == [True] * 3


@pytest.mark.question("Q03")
def test_no_module_before_init():
    """A submodule assigned before ``super().__init__()`` raises ``AttributeError``: there is no store yet."""

    class Net(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(2, 3)
            super().__init__()

    with pytest.raises(AttributeError, match=r"^cannot assign module before Module.__init__\(\) call$"):
        Net()


@pytest.mark.question("Q03")
def test_no_parameter_before_init():
    """A parameter assigned before ``super().__init__()`` raises ``AttributeError``."""

    class Net(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(torch.rand(2))

    with pytest.raises(AttributeError, match=r"^cannot assign parameters before Module.__init__\(\) call$"):
        Net()


@pytest.mark.question("Q03")
@pytest.mark.since("2.5")
def test_no_buffer_before_init():
    """A :class:`~torch.nn.Buffer` assigned before ``super().__init__()`` raises ``AttributeError``."""

    class Net(nn.Module):
        def __init__(self):
            self.mean = nn.Buffer(torch.rand(2))

    with pytest.raises(AttributeError, match=r"^cannot assign buffer before Module.__init__\(\) call$"):
        Net()


@pytest.mark.question("Q03")
@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("register_parameter", None, "cannot assign parameter before Module.__init__() call"),
        ("register_buffer", None, "cannot assign buffer before Module.__init__() call"),
        ("add_module", None, "'Net' object has no attribute '_modules'"),
    ],
    ids=["parameter", "buffer", "module"],
)
def test_no_registration_before_init(method, value, message):
    """A registration by name before ``super().__init__()`` raises ``AttributeError``."""

    class Net(nn.Module):
        def __init__(self):
            getattr(self, method)("name", value)

    with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
        Net()


@pytest.mark.question("Q03")
def test_plain_attributes_before_init():
    """A plain attribute can be set before ``super().__init__()`` and is kept.

    A tensor is plain too; only what has to be registered fails.
    """

    class Net(nn.Module):
        def __init__(self):
            self.width = 2
            self.hidden = torch.rand(self.width)
            super().__init__()

    net = Net()

    assert (net.width, net.hidden.shape) == (2, (2,))


@pytest.mark.observed
def test_init_again_forgets_everything():
    """A second ``__init__`` empties the stores and leaves the plain attributes."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.rand(2))
    net.inner = nn.ReLU()
    net.width = 2
    net.eval()
    nn.Module.__init__(net)

    assert (list(net.named_parameters()), list(net.children())) == ([], [])
    assert (net.training, net.width) == (True, 2)


def test_no_keyword_arguments():
    """Keyword arguments that reach ``Module.__init__`` raise ``TypeError``, which names the first of them."""

    class Net(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"^Net.__init__\(\) got an unexpected .* argument 'width'$"):
        Net(width=2, depth=3)


def test_no_positional_arguments():
    """Positional arguments that reach ``Module.__init__`` raise ``TypeError``, which counts ``self`` too."""

    class Net(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"^Net.__init__\(\) takes 1 positional argument but 3 were given$"):
        Net(2, 3)


def test_the_next_class_is_not_initialised():
    """``Module.__init__`` does not call the ``__init__`` of the class that follows it."""
    calls = []

    class Mixin:
        def __init__(self):
            calls.append("mixin")

    class Net(nn.Module, Mixin):
        pass

    Net()

    assert calls == []


@pytest.mark.observed
def test_call_super_init():
    """With ``call_super_init = True`` the next class is initialised, with all arguments (:pull:`91819`).

    By then the module is set up: the next class may register parameters.
    """

    class Mixin:
        def __init__(self, width, *, depth):
            self.scale = nn.Parameter(torch.rand(width, depth))

    class Net(nn.Module, Mixin):
        call_super_init = True

    net = Net(2, depth=3)

    assert [(name, p.shape) for name, p in net.named_parameters()] == [("scale", (2, 3))]


@pytest.mark.observed
def test_call_super_init_without_a_next_class():
    """With ``call_super_init = True`` an argument that no class takes raises ``TypeError`` in ``object``."""

    class Net(nn.Module):
        call_super_init = True

    with pytest.raises(TypeError, match=r"object.__init__\(\) takes exactly one argument"):
        Net(2)

    assert Net().training is True


def test_a_class_before_module_is_initialised():
    """A class that comes before :class:`~torch.nn.Module` passes on what it does not take itself."""

    class Mixin:
        def __init__(self, width, **rest):
            super().__init__(**rest)
            self.width = width

    class Net(Mixin, nn.Module):
        pass

    net = Net(width=2)
    net.inner = nn.ReLU()

    assert (net.width, list(net._modules)) == (2, ["inner"])
