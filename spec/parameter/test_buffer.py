"""``nn.Buffer``: a tensor that a module registers as a buffer when it is assigned.

It is to buffers what :class:`~torch.nn.parameter.Parameter` is to parameters, and came with torch 2.5
(:pull:`125971`). What it makes is a plain tensor that carries a flag.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


@pytest.mark.since("2.5")
def test_persistent_false_keeps_it_out_of_the_state():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` with ``persistent=False`` is a registered buffer but
    not in ``state_dict()``.

    Use it for what can be computed again, such as a mask or a table of angles: the file stays small, and
    a model with another length still loads.
    """
    net = nn.Module()

    net.mean, net.cache = nn.Buffer(torch.rand(2)), nn.Buffer(torch.rand(3), persistent=False)

    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    for keep_vars in (False, True):
        assert list(net.state_dict(keep_vars=keep_vars)) == ["mean"]
        assert list(nn.Sequential(net).state_dict(keep_vars=keep_vars)) == ["0.mean"]
    assert [net.mean.persistent, net.cache.persistent] == [True, False]

    longer = nn.Module()
    longer.mean, longer.cache = nn.Buffer(torch.rand(2)), nn.Buffer(torch.rand(5), persistent=False)
    longer.load_state_dict(net.state_dict())
    assert longer.mean.tolist() == net.mean.tolist()


@pytest.mark.since("2.5")
def test_persistent_is_a_keyword():
    """``nn.Buffer(tensor, False)`` raises ``TypeError``: ``persistent`` must be passed by keyword."""
    make = nn.Buffer

    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
        make(torch.rand(2), False)


@pytest.mark.since("2.5")
def test_its_type_is_plain_tensor():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` has the type ``torch.Tensor``, yet
    ``isinstance(buffer, nn.Buffer)`` is true.

    So ``type(nn.Buffer(tensor)) is nn.Buffer`` is false.
    """
    mean, cache = nn.Buffer(torch.tensor([1.5, 2.5])), nn.Buffer(torch.rand(2), persistent=False)
    net = nn.Module()
    net.mean, net.cache = mean, cache

    for buffer in (mean, cache, net.mean, net.cache):
        assert type(buffer) is torch.Tensor
        assert [isinstance(buffer, kind) for kind in (nn.Buffer, nn.Parameter)] == [True, False]
    assert isinstance(torch.rand(2), nn.Buffer) is False


@pytest.mark.since("2.5")
def test_the_flag_of_a_buffer_decides():
    """``isinstance(x, nn.Buffer)`` is true if ``x`` is a tensor and ``x._is_buffer`` is true."""

    class Impostor:
        _is_buffer = True

    flagged, weight, unflagged = torch.rand(2), nn.Parameter(torch.rand(2)), torch.rand(2)
    flagged._is_buffer, weight._is_buffer, unflagged._is_buffer = True, True, False

    found = [isinstance(value, nn.Buffer) for value in (flagged, weight, unflagged, Impostor())]
    assert found == [True, True, False, False]


@pytest.mark.since("2.5")
def test_a_subclass_of_buffer_is_never_met():
    """Constructing a subclass of :class:`nn.Buffer <torch.nn.parameter.Buffer>` gives an ``nn.Buffer``,
    not an instance of the subclass.
    """

    class Running(nn.Buffer):
        pass

    mean = Running(torch.rand(2))

    assert isinstance(mean, nn.Buffer) is True
    assert isinstance(mean, Running) is False


@pytest.mark.since("2.5")
def test_a_tensor_made_a_subclass_of_buffer_is_a_buffer():
    """With a subclass ``B`` of ``nn.Buffer``, ``x.as_subclass(B)`` is an instance of ``nn.Buffer`` and has no
    ``_is_buffer``.
    """

    class Running(nn.Buffer):
        pass

    tensor = torch.rand(2).as_subclass(Running)

    assert isinstance(tensor, nn.Buffer)
    assert isinstance(tensor, Running)
    assert hasattr(tensor, "_is_buffer") is False


@pytest.mark.since("2.5")
def test_a_buffer_requires_no_grad_of_its_own():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` has the ``requires_grad`` of the tensor it is
    built from, ``False`` by default.
    """
    learned, weight = torch.rand(2, requires_grad=True), nn.Parameter(torch.rand(2))

    for persistent in (True, False):
        assert nn.Buffer(torch.rand(2), persistent=persistent).requires_grad is False
        for source in (learned, weight, weight * 2):
            assert nn.Buffer(source, persistent=persistent).requires_grad is True


@pytest.mark.since("2.5")
def test_a_buffer_shares_the_storage_of_its_tensor():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` is a leaf that shares memory with its source
    tensor, which stays a plain tensor.
    """
    result = torch.tensor([1.5, 2.5], requires_grad=True) * 2

    for source in (result, torch.rand(2)):
        for persistent in (True, False):
            mean = nn.Buffer(source, persistent=persistent)

            assert mean.data_ptr() == source.data_ptr()
            assert mean.is_leaf is True
            assert isinstance(source, nn.Buffer) is False


@pytest.mark.since("2.5")
def test_a_buffer_may_hold_integers():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` may hold integers, and ``nn.Buffer()`` without
    data is an empty tensor.
    """
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        counts = nn.Buffer(torch.arange(3, dtype=dtype))
        assert counts.dtype == dtype
        assert counts.tolist() == [0, 1, 2]
    assert nn.Buffer().shape == (0,)


@pytest.mark.since("2.5")
@pytest.mark.parametrize("persistent", [True, False])
def test_results_from_a_buffer_are_none(persistent):
    """The result of an operation on an ``nn.Buffer``, such as a cast, is not a buffer.

    A module does not register such a result. Compute first, then wrap.
    """
    mean = nn.Buffer(torch.rand(2), persistent=persistent)
    net = nn.Module()

    results = [mean * 2, mean.clone(), mean.detach(), mean.to(torch.float64), mean.view(2, 1), mean[:1]]
    net.mean, net.double = mean, mean * 2

    assert [isinstance(result, nn.Buffer) for result in results] == [False] * 6
    assert [name for name, _ in net.named_buffers()] == ["mean"]


@pytest.mark.since("2.5")
def test_a_buffer_prints_like_a_tensor():
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` prints like a plain tensor: its ``repr`` does not
    mention ``Buffer``.
    """
    for persistent in (True, False):
        buffer = nn.Buffer(torch.tensor([1.5, 2.5]), persistent=persistent)
        assert repr(buffer) == "tensor([1.5000, 2.5000])"
        assert repr(buffer.requires_grad_()) == "tensor([1.5000, 2.5000], requires_grad=True)"


@pytest.mark.since("2.5")
@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deep copy", "pickle"]
)
def test_a_copied_buffer_is_a_buffer(twin_of):
    """A deep copy or a pickle of a non-persistent ``nn.Buffer`` is a non-persistent ``nn.Buffer`` too."""
    for values in (torch.tensor([1.5, 2.5]), torch.tensor([1.5, 2.5], requires_grad=True)):
        cache = nn.Buffer(values, persistent=False)

        twin = twin_of(cache)

        assert isinstance(twin, nn.Buffer)
        assert twin.persistent is False
        assert twin.tolist() == [1.5, 2.5]
        assert twin.data_ptr() != cache.data_ptr()


@pytest.mark.since("2.5")
@pytest.mark.parametrize("persistent", [True, False])
def test_a_tensor_subclass_stays_one(persistent):
    """An :class:`nn.Buffer <torch.nn.parameter.Buffer>` built from an instance of a tensor subclass keeps
    that type.
    """

    class Tagged(torch.Tensor):
        pass

    for requires_grad in (True, False):
        values = torch.rand(2).as_subclass(Tagged).requires_grad_(requires_grad)
        mean = nn.Buffer(values, persistent=persistent)

        assert type(mean) is Tagged
        assert isinstance(mean, nn.Buffer)


@pytest.mark.since("2.5")
@pytest.mark.parametrize("persistent", [True, False])
def test_parameter_and_buffer_exclude_each_other(persistent):
    """``nn.Parameter(buffer)`` is not a buffer, and ``nn.Buffer(parameter)`` is not a parameter."""
    weight = nn.Parameter(nn.Buffer(torch.rand(2), persistent=persistent))

    assert [isinstance(weight, kind) for kind in (nn.Parameter, nn.Buffer)] == [True, False]
    for trained in (True, False):
        mean = nn.Buffer(nn.Parameter(torch.rand(2), trained), persistent=persistent)
        assert [isinstance(mean, kind) for kind in (nn.Parameter, nn.Buffer)] == [False, True]


@pytest.mark.question("Q31")
@pytest.mark.before("2.5")
def test_there_is_no_buffer_class():
    """``nn.Buffer`` does not exist: ``register_buffer`` makes a tensor a buffer, assignment does not.

    Code that is to run there as well calls :meth:`~torch.nn.Module.register_buffer`, which does the same
    on every release.
    """
    net = nn.Module()
    net.mean = torch.rand(2)
    net.register_buffer("var", torch.rand(2))

    assert hasattr(nn, "Buffer") is False
    assert [name for name, _ in net.named_buffers()] == ["var"]
