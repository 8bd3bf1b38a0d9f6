"""DataParallel: one process, one module, several devices.

:class:`~torch.nn.DataParallel` wraps a module. A call splits the batch over the devices, runs a copy of the
module on each of them and puts the outputs together. Where torch finds no accelerator (the fixture
``no_accelerator`` hides any) the wrapper only passes calls on.

A device that is named twice gets two copies, so most of this shows on one GPU.
"""

import itertools
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.parallel import _functions, data_parallel


class Steps(nn.DataParallel):  # writes its steps down and takes them on the CPU
    def __init__(self, module, device_ids):
        super().__init__(module)
        self.device_ids, self.output_device, self.dim = device_ids, device_ids[-1], 0
        self.src_device_obj, self.steps = torch.device("cpu"), []

    def scatter(self, inputs, kwargs, device_ids):
        self.steps.append(("scatter", device_ids))
        with mock.patch.object(_functions.Scatter, "apply", lambda ids, _, dim, x: x.chunk(len(ids), dim)):
            return super().scatter(inputs, kwargs, device_ids)

    def replicate(self, module, device_ids):
        self.steps.append(("replicate", device_ids))
        return [module for _ in device_ids]

    def parallel_apply(self, replicas, inputs, kwargs):
        self.steps.append(("parallel_apply", len(replicas)))
        return [replica(*x, **named) for replica, x, named in zip(replicas, inputs, kwargs, strict=True)]

    def gather(self, outputs, output_device):
        self.steps.append(("gather", output_device))
        return tuple(outputs)


@pytest.mark.question("Q91")
def test_state_dict_keys_start_with_module():
    """:class:`~torch.nn.DataParallel` puts ``module.`` before parameter names and ``state_dict()`` keys.

    Save ``wrapped.module.state_dict()`` to get keys without it.

    See also :ref:`state.strict.a_wrapper_prefix_can_be_taken_off`
    """
    net = nn.Linear(2, 3)
    net.norm = nn.BatchNorm1d(3).requires_grad_(False)
    wrapped = nn.DataParallel(net)
    parameters = ["weight", "bias", "norm.weight", "norm.bias"]
    names = [*parameters, "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]

    assert list(wrapped.state_dict()) == [f"module.{name}" for name in names]
    assert [name for name, _ in wrapped.named_parameters()] == [f"module.{name}" for name in parameters]
    assert list(wrapped.module.state_dict()) == names


def test_the_module_itself_is_kept():
    """:class:`~torch.nn.DataParallel` keeps the wrapped module itself as ``module``, not a copy."""
    net = nn.Sequential(nn.Linear(2, 3))
    layer, weight = net[0], net[0].weight

    for wrapped in (nn.DataParallel(net), nn.DataParallel(net, [0])):
        assert wrapped.module is net
        assert (net[0] is layer, layer.weight is weight) == (True, True)


@pytest.mark.question("Q91")
def test_attributes_are_one_level_down():
    """Attributes of a module are not found on a :class:`~torch.nn.DataParallel`, only on ``.module``.

    That goes for methods too: call ``wrapped.module.method()``.
    """
    net = nn.BatchNorm1d(3)
    net.scale, net.head = 5, nn.Linear(3, 1)
    wrapped = nn.DataParallel(net)

    for name in ("scale", "weight", "running_mean", "head", "reset_parameters"):
        with pytest.raises(AttributeError, match=f"'DataParallel' object has no attribute '{name}'"):
            getattr(wrapped, name)
    assert wrapped.module.scale == 5


def test_no_accelerator_a_plain_call(no_accelerator):
    """Without an accelerator :class:`~torch.nn.DataParallel` calls the module with unchanged arguments."""
    net = nn.Identity()
    net.forward = lambda *args, **kwargs: (args, kwargs)
    net.register_forward_hook(lambda module, args, output: (*output, module))
    wrapped, x, pair = nn.DataParallel(net), torch.rand(2), [torch.rand(3), "b"]

    args, kwargs, called = wrapped(x, pair, x=x, flag=None)

    assert wrapped.device_ids == []
    assert called is net
    assert (len(args), args[0] is x, args[1] is pair, pair[1]) == (2, True, True, "b")
    assert (list(kwargs), kwargs["x"] is x, kwargs["flag"]) == (["x", "flag"], True, None)


def test_no_accelerator_no_arguments_kept(no_accelerator):
    """Without an accelerator :class:`~torch.nn.DataParallel` ignores ``device_ids`` and ``dim``."""
    wrapped, x = nn.DataParallel(nn.Identity(), [0, "no device"], 1, dim=1), torch.rand(3, 4)

    assert wrapped.device_ids == []
    assert [hasattr(wrapped, name) for name in ("output_device", "dim")] == [False, False]
    assert wrapped(x) is x


def test_four_steps_in_order(no_accelerator):
    """:class:`~torch.nn.DataParallel` calls ``scatter``, ``replicate``, ``parallel_apply``, then ``gather``.

    They are methods, so that a subclass may replace a step.
    """
    wrapped = Steps(nn.Identity(), [4, 5])
    wrapped.module.forward = lambda x, scale: x * scale

    outputs = wrapped(torch.tensor([1.0, 2.0, 4.0]), scale=3)

    assert (type(outputs), [output.tolist() for output in outputs]) == (tuple, [[3.0, 6.0], [12.0]])
    assert wrapped.steps == [("scatter", [4, 5]), ("replicate", [4, 5]), ("parallel_apply", 2), ("gather", 5)]


def test_no_more_replicas_than_pieces(no_accelerator):
    """If a batch has fewer rows than devices, ``DataParallel`` uses only as many devices as rows."""
    for rows, named in [(1, False), (1, True), (2, False), (2, True)]:
        wrapped, x = Steps(nn.Linear(2, 3), [4, 5, 6]), torch.rand(rows, 2)
        assert len(wrapped(input=x) if named else wrapped(x)) == rows
        assert wrapped.steps[1:3] == [("replicate", [4, 5][:rows]), ("parallel_apply", rows)]


def test_one_device_needs_no_replicas(no_accelerator):
    """With one device :class:`~torch.nn.DataParallel` calls the module itself, on the scattered inputs."""
    wrapped = Steps(nn.Bilinear(2, 4, 3), [4])
    x, y = torch.rand(5, 2), torch.rand(5, 4)
    wrapped.module.forward = lambda input1, input2=None: (input1, input2)
    wrapped.module.register_forward_hook(lambda module, args, output: (*output, module))

    output = wrapped(x, input2=y)

    assert [piece.tolist() for piece in output[:2]] == [x.tolist(), y.tolist()]
    assert (output[0] is x, output[1] is y, output[2] is wrapped.module) == (False, False, True)
    assert wrapped.steps == [("scatter", [4])]


def test_one_device_keeps_what_forward_assigns(no_accelerator):
    """With one device ``DataParallel`` keeps what ``forward`` sets on ``self``, and returns a scalar as such.

    With several, attributes are set on replicas and lost: a counter works until there is a second GPU.
    """

    class Counter(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            self.total = x.sum()
            return self.total

    net = Counter()
    output = Steps(net, [4])(torch.tensor([2.0, 3.0]))

    assert (net.calls, net.total is output) == (1, True)
    assert torch.equal(output, torch.tensor(5.0))


def test_without_inputs_one_replica_runs(no_accelerator):
    """:class:`~torch.nn.DataParallel` called without inputs runs the module once, on the first device."""
    ran = []
    wrapped = Steps(nn.Identity(), [5, 4])
    wrapped.module.forward = lambda: ran.append("once") or "output"

    assert wrapped() == ("output",)
    assert wrapped.steps[1] == ("replicate", [5])
    assert Steps(wrapped.module, [4])() == "output"
    assert ran == ["once", "once"]


def test_all_tensors_belong_on_the_first_device(no_accelerator):
    """Calling ``DataParallel`` raises ``RuntimeError`` for a parameter or buffer not on ``device_ids[0]``."""
    lost, nets = torch.rand(2, device="meta"), [nn.Sequential(nn.Linear(2, 3)) for _ in range(4)]
    nets[0][0].lost = nn.Parameter(lost)
    nets[1][0].lost = nn.Parameter(lost, requires_grad=False)
    nets[2][0].register_buffer("lost", lost)
    nets[3][0].register_buffer("lost", lost, persistent=False)

    for net, devices in itertools.product(nets, ([4], [4, 5])):
        wrapped = Steps(net, devices)
        with pytest.raises(RuntimeError, match=r"on device cpu \(device_ids\[0\]\) but .* on device: meta"):
            wrapped(torch.rand(3, 2))
        assert wrapped.steps == []


@pytest.mark.needs("cuda")
def test_the_wrapper_scatters_along_its_dim():
    """``DataParallel.scatter`` and ``DataParallel.gather`` split and join along ``dim`` of the wrapper."""
    wrapped = nn.DataParallel(nn.Identity(), device_ids=[0, 0], dim=1)
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    args, named = wrapped.scatter((x,), {"scale": 2}, [0, 0])

    assert [piece.tolist() for (piece,) in args] == [[[1.0, 2.0], [4.0, 5.0]], [[3.0], [6.0]]]
    assert named == ({"scale": 2}, {"scale": 2})
    assert wrapped.gather([piece for (piece,) in args], 0).tolist() == x.tolist()


@pytest.mark.since("2.1")
def test_the_function_needs_an_accelerator(no_accelerator):
    """:func:`~torch.nn.parallel.data_parallel` raises ``RuntimeError`` without an accelerator."""
    for devices in (None, [0]):
        with pytest.raises(RuntimeError, match="device type could not be determined"):
            data_parallel(nn.Linear(2, 3), torch.rand(4, 2), devices)


@pytest.mark.before("2.1")
def test_the_function_once_tripped(no_accelerator):
    """:func:`~torch.nn.parallel.data_parallel` raises ``TypeError`` without an accelerator."""
    with pytest.raises(TypeError, match="'NoneType' object is not subscriptable"):
        data_parallel(nn.Linear(2, 3), torch.rand(4, 2))


@pytest.mark.needs("cuda")
def test_one_device_takes_the_module_in():
    """With one device ``DataParallel`` moves the module when constructed, inputs when called."""
    net = nn.Linear(2, 3)
    wrapped = nn.DataParallel(net, device_ids=[0])
    assert str(net.weight.device) == "cuda:0"

    output = wrapped(torch.rand(4, 2))

    assert (str(output.device), output.shape) == ("cuda:0", (4, 3))


@pytest.mark.needs("cuda")
def test_defaults_are_every_device_and_the_first():
    """By default :class:`~torch.nn.DataParallel` uses all devices, and gathers outputs on the first.

    The batch is dimension 0.
    """
    wrapped = nn.DataParallel(nn.Linear(2, 3))

    assert wrapped.device_ids == list(range(torch.cuda.device_count()))
    assert (wrapped.output_device, wrapped.dim) == (0, 0)


@pytest.mark.needs("cuda")
def test_devices_are_kept_as_numbers():
    """:class:`~torch.nn.DataParallel` stores a :class:`torch.device` in ``device_ids`` as a number."""
    device = torch.device("cuda", 0)
    wrapped = nn.DataParallel(nn.Linear(2, 3), device_ids=[device], output_device=device, dim=1)

    assert (wrapped.device_ids, wrapped.output_device, wrapped.dim) == ([0], 0, 1)


@pytest.mark.needs("cuda")
def test_a_module_moved_away_is_an_error():
    """Calling :class:`~torch.nn.DataParallel` raises ``RuntimeError`` if the module was moved to the CPU."""
    wrapped = nn.DataParallel(nn.Linear(2, 3), device_ids=[0])
    wrapped.cpu()

    with pytest.raises(RuntimeError, match=r"on device cuda:0 \(device_ids\[0\]\) but .* on device: cpu"):
        wrapped(torch.rand(4, 2))


@pytest.mark.needs("cuda")
def test_the_function_calls_the_module():
    """:func:`~torch.nn.parallel.data_parallel` passes a tuple as several arguments, a tensor as one."""
    net = nn.Identity()
    net.forward = lambda x, y: 10 * x + y
    x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])

    assert data_parallel(net, (x, y), [0]).tolist() == [14.0, 25.0, 36.0]
    assert data_parallel(net, x, [0, 0], module_kwargs={"y": y}).tolist() == [14.0, 25.0, 36.0]


@pytest.mark.needs("cuda")
def test_the_function_does_not_move_the_module():
    """:func:`~torch.nn.parallel.data_parallel` raises ``RuntimeError`` for a module not on the first
    device.
    """
    with pytest.raises(RuntimeError, match=r"on device cuda:0 \(device_ids\[0\]\) but .* on device: cpu"):
        data_parallel(nn.Linear(2, 3), torch.rand(4, 2), [0])


@pytest.mark.needs("cuda")
@pytest.mark.claim("N5-28")
def test_gradients_of_replicas_are_summed():
    """:class:`~torch.nn.DataParallel` sums the gradients of all replicas; it does not average them."""
    net = nn.Linear(2, 1, bias=False).cuda()
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    wrapped(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()

    assert net.weight.grad.tolist() == [[4.0, 7.0]]


@pytest.mark.needs("cuda")
def test_attributes_set_in_forward_are_lost():
    """With replicas of ``DataParallel``, attributes that ``forward`` sets on ``self`` are lost.

    They are set on a replica. Return it with the output, or write into a buffer in place.
    """

    class Counter(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x + self.calls

    net = Counter()
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    assert wrapped(torch.tensor([10.0, 20.0])).tolist() == [11.0, 21.0]
    assert wrapped(torch.tensor([10.0, 20.0])).tolist() == [11.0, 21.0]
    assert net.calls == 0


@pytest.mark.needs("cuda")
def test_a_scalar_output_becomes_a_vector():
    """``DataParallel`` gathers scalar outputs of n replicas into a vector of n elements, and warns.

    A loss taken in ``forward`` therefore needs a ``mean()`` or ``sum()`` before ``backward()``.
    """
    net = nn.Identity()
    net.forward = torch.sum
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    with pytest.warns(UserWarning, match="input tensors were scalars; will instead unsqueeze"):
        output = wrapped(torch.tensor([1.0, 2.0, 4.0]).cuda())
    assert output.tolist() == [3.0, 4.0]


@pytest.mark.needs("cuda")
def test_the_module_must_be_on_the_first_device():
    """With several devices :class:`~torch.nn.DataParallel` does not move the module to the first one."""
    net = nn.Linear(2, 3)
    wrapped = nn.DataParallel(net, device_ids=[0, 0])
    assert net.weight.device.type == "cpu"

    with pytest.raises(RuntimeError, match="found one of them on device: cpu"):
        wrapped(torch.rand(4, 2))


@pytest.mark.needs("cuda")
def test_keyword_arguments_are_split_too():
    """``DataParallel`` also splits tensors in keyword arguments; other values go to every replica."""
    net = nn.Identity()
    net.forward = lambda x, y, factor: factor * x + y
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    output = wrapped(torch.tensor([1.0, 2.0, 3.0]), y=torch.tensor([4.0, 5.0, 6.0]), factor=10)

    assert output.tolist() == [14.0, 25.0, 36.0]


@pytest.mark.needs("cuda", 2)
@pytest.mark.claim("N5-27")
def test_the_batch_is_split_over_the_devices():
    """:class:`~torch.nn.DataParallel` splits the batch into one chunk for each GPU, and runs it there."""
    pieces = []
    net = nn.Linear(2, 3).cuda(0)
    net.register_forward_pre_hook(lambda _, args: pieces.append((str(args[0].device), len(args[0]))))

    output = nn.DataParallel(net, device_ids=[0, 1])(torch.rand(5, 2))

    assert sorted(pieces) == [("cuda:0", 3), ("cuda:1", 2)]
    assert (str(output.device), output.shape) == ("cuda:0", (5, 3))


@pytest.mark.needs("cuda", 2)
@pytest.mark.claim("N5-28")
def test_gradients_end_on_the_first_device():
    """:class:`~torch.nn.DataParallel` on several GPUs sums the gradients of all replicas on the first GPU."""
    net = nn.Linear(2, 1, bias=False).cuda(0)
    wrapped = nn.DataParallel(net, device_ids=[0, 1])

    wrapped(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()

    assert (str(net.weight.grad.device), net.weight.grad.tolist()) == ("cuda:0", [[4.0, 7.0]])


@pytest.mark.needs("cuda", 2)
def test_outputs_go_to_output_device():
    """:class:`~torch.nn.DataParallel` gathers the outputs on ``output_device``."""
    wrapped = nn.DataParallel(nn.Linear(2, 3).cuda(0), device_ids=[0, 1], output_device=1)

    assert str(wrapped(torch.rand(4, 2)).device) == "cuda:1"


@pytest.mark.needs("cuda", 2)
def test_buffers_of_the_first_device_stay():
    """Under :class:`~torch.nn.DataParallel`, changes of buffers on GPUs other than the first are lost."""
    net = nn.BatchNorm1d(1, momentum=1.0).cuda(0)

    nn.DataParallel(net, device_ids=[0, 1])(torch.tensor([[1.0], [3.0], [10.0], [20.0]]))

    assert (net.running_mean.tolist(), net.num_batches_tracked.item()) == ([2.0], 1)
