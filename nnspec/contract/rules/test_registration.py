"""A module's state is registered.

nn.Module knows the parameters, buffers and submodules that are assigned to it, and nothing else: state in a
list, a closure or an object of another class is not trained, not moved, not saved and not set to eval.
"""

from nnspec.contract.findings import registration


def test_modules_in_containers(looked_at):
    """No module hides in a list, tuple, set or dict: each is a submodule.

    A plain list of layers is the most frequent fault of all. :class:`~torch.nn.ModuleList` and
    :class:`~torch.nn.ModuleDict` register what is in them.
    """
    net = looked_at()

    yield registration.modules_in_containers(net)


def test_tensors_in_containers(looked_at, example):
    """No parameter, and no tensor that forward uses, hides in a list, tuple, set or dict.

    :class:`~torch.nn.ParameterList` and :class:`~torch.nn.ParameterDict` register parameters; other tensors
    are registered one by one, with :meth:`~torch.nn.Module.register_buffer`.
    """
    net = looked_at()

    yield registration.tensors_in_containers(net, example)


def test_plain_attributes(looked_at, example, other):
    """No attribute is a tensor that forward uses and that is not registered.

    A tensor that is assigned is a plain attribute: a :class:`~torch.nn.parameter.Parameter` is trained, a
    buffer is moved and saved. A tensor on the class is shared by all instances besides.
    """
    net = looked_at()

    yield registration.plain_attributes(net, example, other)


def test_objects(looked_at, example):
    """No object of another class holds modules or tensors that forward uses."""
    net = looked_at()

    yield registration.objects(net, example)


def test_buffers_need_no_gradient(looked_at):
    """No buffer requires a gradient: no optimizer is given buffers."""
    net = looked_at()

    yield registration.trained_buffers(net)


def test_closures(looked_at):
    """No function kept as an attribute holds a module or a tensor.

    What a lambda or a ``functools.partial`` holds is not registered. And a lambda that refers to ``self``
    goes on doing so in a copy: the copy computes with the original's weights.
    """
    net = looked_at()

    yield registration.closures(net)
