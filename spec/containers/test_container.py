"""Container: a deprecated module of named children.

``nn.Container`` is a module with its keyword arguments as children. ``nn.Module`` itself does all that
it does, so it warns that it is deprecated. No other container derives from it.
"""

import pytest
from torch import nn


def test_keywords_become_children():
    """``nn.Container(a=module)`` registers its keyword arguments as children, in their order."""
    tanh, relu = nn.Tanh(), nn.ReLU()

    with pytest.warns(Warning, match="is deprecated"):
        net = nn.Container(z=tanh, a=relu)

    assert list(net.named_children()) == [("z", tanh), ("a", relu)]


@pytest.mark.since("2.4")
def test_making_one_is_a_future_warning():
    """Creating an ``nn.Container`` emits a ``FutureWarning`` that the class is deprecated (:pull:`127689`).

    Derive from :class:`~torch.nn.Module` instead and assign the children in ``__init__``.
    """
    for children in ({}, {"act": nn.Tanh()}):
        with pytest.warns(
            FutureWarning, match="`nn.Container` is deprecated. All of it.* `nn.Module`. Subclass that"
        ):
            nn.Container(**children)


@pytest.mark.before("2.4")
def test_making_one_is_a_user_warning():
    """Creating an ``nn.Container`` emits a ``UserWarning`` that the class is deprecated."""
    with pytest.warns(UserWarning, match="^nn.Container is deprecated. All of it's functionality is now"):
        nn.Container()


@pytest.mark.since("2.4")
def test_a_subclass_warns_when_it_is_defined():
    """Defining a subclass of ``nn.Container`` emits a ``FutureWarning`` that the class is deprecated."""
    with pytest.warns(FutureWarning, match="`nn.Container` is deprecated"):

        class Net(nn.Container):
            def forward(self, x):
                return x


@pytest.mark.before("2.4")
def test_a_subclass_warns_when_it_is_made():
    """Creating an instance of an ``nn.Container`` subclass emits a ``UserWarning``: it is deprecated."""

    class Net(nn.Container):
        pass

    with pytest.warns(UserWarning, match="nn.Container is deprecated"):
        Net()
