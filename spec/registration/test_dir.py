"""What ``dir`` lists.

An interactive prompt offers these names for completion.
"""

import torch
from torch import nn


def test_dir_lists_what_is_registered():
    """``dir(module)`` lists attributes, parameters, buffers, submodules, but no names starting with a
    digit.
    """

    class Net(nn.Module):
        depth = 3

    net = Net()
    net.scale = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    net.inner = nn.ReLU()
    net.add_module("2nd", nn.ReLU())
    net.register_parameter("0", nn.Parameter(torch.rand(2)))
    net.register_buffer("1st", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_parameter("bias", None)
    net.width = 2
    setattr(net, "3d", 2)

    names = {"scale", "bias", "mean", "cache", "inner", "width", "depth"}
    assert set(dir(net)) - set(dir(nn.Module())) == names
    assert {"forward", "parameters", "training", "_modules"} <= set(dir(net))


def test_names_of_numbers_are_left_out():
    """``dir(module)`` omits names that start with a digit, such as those of the layers of a ``Sequential``.

    So a prompt completes no layer of a :class:`~torch.nn.Sequential`; ``print(net)`` shows them.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    net.add_module("2nd", nn.ReLU())
    net.add_module("last2", nn.ReLU())

    assert set(dir(net)) - set(dir(nn.Sequential())) == {"last2"}


def test_other_names_are_kept():
    """``dir(module)`` includes submodules whose name has a space or is a keyword, such as ``lambda``."""
    net = nn.Module()
    net.add_module("my layer", nn.ReLU())
    net.add_module("lambda", nn.ReLU())

    assert set(dir(net)) - set(dir(nn.Module())) == {"my layer", "lambda"}


def test_names_are_sorted():
    """``Module.__dir__()`` returns a sorted list of names."""
    net = nn.Module()
    net.zeta, net.Alpha = nn.Parameter(torch.rand(2)), nn.ReLU()
    net.register_buffer("beta", torch.rand(2))
    names = net.__dir__()

    assert names == sorted(names)
    assert names.index("Alpha") == 0


def test_names_of_submodules_are_their_own():
    """``dir(module)`` does not list the attributes of the module's submodules."""
    net = nn.Module()
    net.inner = nn.BatchNorm1d(3)
    net.inner.act = nn.ReLU()
    names = {"weight", "running_mean", "act", "eps"}

    assert names <= set(dir(net.inner))
    assert {"inner", *names} & set(dir(net)) == {"inner"}


def test_a_name_may_be_listed_twice():
    """``dir(module)`` lists a name twice if the class and the instance both define it."""

    class Net(nn.Module):
        depth = 2

    net = Net()
    net.depth = 3

    assert dir(net).count("depth") == 2
