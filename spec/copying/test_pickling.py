"""A module through ``pickle``.

A pickle holds the attributes of a module and the name of its class, no code. ``torch.save(module)`` writes
the same into a file.
"""

import copy
import io
import pickle
import sys
import threading
import types
import warnings
import weakref

import pytest
import torch
import torch.distributed as dist
from torch import nn


def test_a_round_trip():
    """``pickle.loads(pickle.dumps(module))`` restores submodules, values, ``training`` and attributes.

    The file names classes, so it ties the model to its source code: a ``state_dict`` is what lasts. See
    :ref:`copying.pickling.a_pickle_names_the_class`
    """
    net = nn.Sequential(nn.Linear(2, 3).eval(), nn.BatchNorm1d(3))
    net.width = 2
    net(torch.rand(4, 2))
    loaded = pickle.loads(pickle.dumps(net))
    x = torch.rand(4, 2)

    assert [(n, type(m), m.training) for n, m in loaded.named_modules()] == [
        ("", nn.Sequential, True),
        ("0", nn.Linear, False),
        ("1", nn.BatchNorm1d, True),
    ]
    assert loaded.width == 2
    old, new = net.state_dict(), loaded.state_dict()
    assert [value.tolist() for value in new.values()] == [value.tolist() for value in old.values()]
    assert loaded(x).tolist() == net(x).tolist()


def test_values_are_in_memory_of_their_own():
    """``pickle.loads(pickle.dumps(module))`` shares no memory with the module."""
    net = nn.BatchNorm1d(3)
    net.register_buffer("cache", torch.rand(2), persistent=False)
    loaded = pickle.loads(pickle.dumps(net))
    old, new = ([*module.parameters(), *module.buffers()] for module in (net, loaded))
    assert len(old) == len(new) == 6
    assert {value.data_ptr() for value in old}.isdisjoint(value.data_ptr() for value in new)

    with torch.no_grad():
        loaded.weight.fill_(7)
        loaded.running_mean.fill_(5)

    assert net.weight.tolist() == [1, 1, 1]
    assert net.running_mean.tolist() == [0, 0, 0]


def test_ties_are_kept():
    """``pickle.loads(pickle.dumps(module))`` keeps shared parameters and submodules shared."""
    net = nn.Module()
    net.encoder, net.decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    net.decoder.weight = net.encoder.weight
    net.first = net.second = nn.ReLU()
    loaded = pickle.loads(pickle.dumps(net))

    assert loaded.decoder.weight is loaded.encoder.weight
    assert loaded.first is loaded.second
    assert loaded.decoder.bias is not loaded.encoder.bias


def test_parameters_come_back_without_gradients():
    """``pickle.loads(pickle.dumps(module))`` keeps ``requires_grad`` of parameters, but not their
    ``grad``.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.PReLU())
    net(torch.rand(4, 2)).sum().backward()
    net[0].bias.requires_grad_(False)
    net[1].weight.requires_grad_(False).note = "frozen"
    loaded = pickle.loads(pickle.dumps(net))

    assert [p.grad is None for p in net.parameters()] == [False, False, False]
    assert [(type(p), p.requires_grad, p.grad) for p in loaded.parameters()] == [
        (nn.Parameter, True, None),
        (nn.Parameter, False, None),
        (nn.Parameter, False, None),
    ]


def test_buffers_keep_their_persistence():
    """``pickle.loads(pickle.dumps(module))`` restores all buffers, and which of them are persistent.

    Unlike a state dict, a pickle has the non-persistent ones too.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.tensor([2.0, 3.0]))
    net.register_buffer("cache", torch.tensor([5.0, 7.0]), persistent=False)
    net.inner = nn.Module()
    net.inner.register_buffer("mask", torch.tensor([8, 9]), persistent=False)
    loaded = pickle.loads(pickle.dumps(net))

    values = {name: buffer.tolist() for name, buffer in loaded.named_buffers()}
    assert values == {"mean": [2, 3], "cache": [5, 7], "inner.mask": [8, 9]}
    assert list(loaded.state_dict()) == ["mean"]


def test_a_stored_result_comes_back_as_a_leaf():
    """An output of ``forward`` stored on a module is a leaf tensor after
    ``pickle.loads(pickle.dumps(module))``.

    ``copy.deepcopy`` raises an error: see :ref:`copying.deepcopy.a_stored_result_cannot_be_copied`
    """
    net = nn.Linear(2, 3)
    net.last = net(torch.rand(4, 2))
    loaded = pickle.loads(pickle.dumps(net))

    assert (net.last.is_leaf, loaded.last.is_leaf) == (False, True)
    assert loaded.last.tolist() == net.last.tolist()
    assert loaded.last.requires_grad is True


def test_hooks_are_pickled_by_name():
    """``pickle.dumps(module)`` saves hooks by name, if they are functions that can be imported."""
    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(print)
    net.register_forward_hook(sorted)
    net.register_full_backward_hook(divmod)
    written = pickle.dumps(net)
    loaded = pickle.loads(written)

    assert [name in written for name in (b"print", b"sorted", b"divmod")] == [True, True, True]
    stores = [loaded._forward_pre_hooks, loaded._forward_hooks, loaded._backward_hooks]
    assert [list(store.values()) for store in stores] == [[print], [sorted], [divmod]]


def test_a_lambda_cannot_be_pickled():
    """``pickle.dumps(module)`` raises ``AttributeError`` or ``PicklingError`` if a hook or attribute is a
    ``lambda``.

    Name the function in a file, or save the ``state_dict``, which has neither hooks nor attributes.
    """
    hooked, plain = nn.Linear(2, 3), nn.Linear(2, 3)
    hooked.register_forward_hook(lambda module, args, output: None)
    plain.activation = lambda x: x

    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(hooked)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(plain)


@pytest.mark.parametrize("where", ["hook", "forward"])
def test_a_local_function_cannot_be_pickled(where):
    """``torch.save(net)`` raises ``AttributeError`` or ``PicklingError`` if a hook or ``forward`` is a local
    function.

    So does ``pickle.dumps``. Loggers and libraries that place layers on devices leave such functions behind.
    Save the ``state_dict``, or remove the hooks by their handles and ``del net.forward`` before.
    """

    def make():
        def local(*args):
            return None

        return local

    layer, local = nn.Linear(2, 3), make()
    handle = layer.register_forward_hook(local) if where == "hook" else None
    if handle is None:
        layer.forward = local

    for save in (pickle.dumps, lambda module: torch.save(module, io.BytesIO())):
        with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
            save(layer)
    torch.save(layer.state_dict(), io.BytesIO())
    if handle is None:
        del layer.forward
    else:
        handle.remove()
    assert torch.equal(pickle.loads(pickle.dumps(layer)).weight, layer.weight)


def test_a_scripted_function_cannot_be_pickled():
    """``pickle`` and ``copy.deepcopy`` raise ``PickleError`` if an attribute is a function of
    ``torch.jit.script``.

    Call such a function by its name in the file instead: then no attribute holds it.
    """
    net = nn.Linear(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        net.activation = torch.jit.script(nn.functional.relu)

    for fails in (pickle.dumps, copy.deepcopy):
        with pytest.raises(pickle.PickleError, match="ScriptFunction cannot be pickled"):
            fails(net)
    del net.activation
    assert torch.equal(copy.deepcopy(net).weight, net.weight)


@pytest.mark.parametrize("held", [threading.Lock(), dist.ProcessGroup(0, 1)], ids=["lock", "process group"])
def test_a_lock_can_be_neither_pickled_nor_copied(held):
    """``pickle`` and ``copy.deepcopy`` raise ``TypeError`` if an attribute of the module is a lock or a
    ``ProcessGroup``.

    A ``__getstate__`` of the class that leaves the attribute out makes both work: the copy is without it.
    """

    class Layer(nn.Linear):
        def __getstate__(self):
            return {name: value for name, value in super().__getstate__().items() if name != "held"}

    net, other = nn.Linear(2, 3), Layer(2, 3)
    net.held = other.held = held

    for fails in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match=r"cannot pickle '.*(lock|ProcessGroup)' object"):
            fails(net)
    copied = copy.deepcopy(other)
    assert torch.equal(copied.weight, other.weight)
    assert (hasattr(copied, "held"), other.held is held) == (False, True)
    assert set(vars(other)) - set(pickle.loads(pickle.dumps(other.__getstate__()))) == {"held"}


def test_a_dtype_and_a_memory_format_come_back():
    """``pickle`` and ``copy.deepcopy`` of a module keep a ``torch.dtype`` or ``torch.memory_format``
    attribute.

    A ``torch.layout`` as well: each is the same object afterwards.
    """
    net = nn.Linear(2, 3)
    net.kind, net.order, net.layout = torch.float64, torch.channels_last, torch.strided

    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again.kind is torch.float64
        assert again.order is torch.channels_last
        assert again.layout is torch.strided


@pytest.mark.since("2.4")
def test_a_generator_is_copied_with_its_state():
    """``copy.deepcopy`` and ``pickle`` of a module copy a ``torch.Generator`` attribute with its state.

    The copy goes on with the same numbers, but on its own: what one draws does not move the other.
    """
    net = nn.Linear(2, 3)
    net.generator = torch.Generator().manual_seed(3)
    torch.rand(2, generator=net.generator)  # both go on from here
    copied, loaded = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    drawn = torch.rand(2, generator=net.generator)

    assert torch.equal(torch.rand(2, generator=copied.generator), drawn)
    assert torch.equal(torch.rand(2, generator=loaded.generator), drawn)


@pytest.mark.before("2.4")
def test_a_generator_cannot_be_copied():
    """``copy.deepcopy`` and ``pickle`` raise ``TypeError`` if an attribute of the module is a
    ``torch.Generator``.
    """
    net = nn.Linear(2, 3)
    net.generator = torch.Generator()

    for fails in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match=r"cannot pickle 'torch\._C.Generator' object"):
            fails(net)


def test_a_local_class_cannot_be_pickled():
    """``pickle.dumps(module)`` raises ``AttributeError`` or ``PicklingError`` if its class is defined in a
    function.

    Such a class cannot be imported by its name. Define the class at the top of a file.
    """

    def made_inside(base):
        class Net(base):
            pass

        return Net()

    for base in (nn.Module, nn.ReLU, nn.Sequential):
        for module in (made_inside(base), nn.ModuleList([made_inside(base)])):
            with pytest.raises((AttributeError, pickle.PicklingError), match=r"<locals>\.Net"):
                pickle.dumps(module)


def test_a_weak_reference_cannot_be_pickled():
    """``pickle.dumps(module)`` raises ``TypeError`` if an attribute is a ``weakref``."""
    net = nn.Linear(2, 3)
    net.myself = weakref.ref(net)

    with pytest.raises(TypeError, match=r"cannot pickle .*weakref"):
        pickle.dumps(net)


def test_a_pickle_names_the_class(monkeypatch):
    """``pickle.dumps(module)`` saves the class name of each module, but not its code.

    The class has to be there, under that name, when the pickle is loaded: a file moved or a class
    renamed, and it cannot be read. Where its ``forward`` was changed, the new one is called.

    See also :ref:`state.files.a_whole_module_may_be_saved`
    """

    class Doubled(nn.Linear):
        __qualname__ = "Doubled"

        def forward(self, x):
            return 2 * super().forward(x)

    monkeypatch.setattr(sys.modules[__name__], "Doubled", Doubled, raising=False)
    written = pickle.dumps(nn.Sequential(Doubled(1, 1)))

    assert [name in written for name in (b"torch.nn.modules.container", b"Doubled", b"in_features")] == [
        True
    ] * 3
    assert b"forward" not in written.replace(b"_forward", b"")
    Doubled.forward = lambda self, x: "another forward"
    assert pickle.loads(written)(torch.ones(1, 1)) == "another forward"
    monkeypatch.delattr(sys.modules[__name__], "Doubled")
    with pytest.raises(AttributeError, match="Doubled"):
        pickle.loads(written)


def test_a_bound_method_is_pickled_by_name():
    """Unpickling a module whose ``forward`` was replaced by a bound method looks it up by name in the class.

    A method of the class is then bound to the new module. A function that is in no class, such as one bound
    by ``types.MethodType``, is pickled without complaint and raises ``AttributeError`` in unpickling.
    """
    layer = nn.Linear(2, 1)
    layer.forward = layer.extra_repr
    taken = pickle.loads(pickle.dumps(layer))

    layer.forward = types.MethodType(lambda self, x: x, layer)
    layer.forward.__func__.__name__ = "made"
    file = pickle.dumps(layer)

    assert taken.forward.__self__ is taken
    assert taken(*[]) == "in_features=2, out_features=1, bias=True"
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'made'"):
        pickle.loads(file)
