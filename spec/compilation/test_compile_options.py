"""What can be asked of torch.compile: backends, modes, options, and graphs without a break."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.mark.needs("compile")
def test_a_break_makes_two_graphs():
    """:func:`torch.compile` makes a graph before and one after a graph break; ``fullgraph=True`` raises
    ``Unsupported``.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append([node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    def broken(x):
        x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    with pytest.raises(torch._dynamo.exc.Unsupported, match="graph_break"):
        torch.compile(broken, backend=backend, fullgraph=True)(torch.tensor([1.5]))
    assert graphs == []
    assert torch.compile(broken, backend=backend)(torch.tensor([1.5])).tolist() == [5.0]
    assert graphs == [["add"], ["mul"]]


@pytest.mark.needs("compile")
def test_a_function_that_breaks_is_compiled_by_itself():
    """If a called function has a graph break, :func:`torch.compile` compiles it separately from its caller.

    There are graphs of what comes before the call, of the function, and of what comes after.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append([node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    def inner(x):
        torch._dynamo.graph_break()
        return x + 1

    def outer(x):
        return inner(x - 3) * 2

    assert torch.compile(outer, backend=backend)(torch.tensor([1.5])).tolist() == [-1.0]
    assert graphs == [["sub"], ["add"], ["mul"]]


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
@pytest.mark.parametrize(
    "function",
    [lambda x: x * x.sum().item(), lambda x: x.nonzero() * 2],
    ids=["item", "nonzero"],
)
def test_a_full_graph_holds_values_of_data(function):
    """``torch.compile(fullgraph=True)`` captures ``item()`` and ``nonzero()``; without it they break the
    graph.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return graph.forward

    x = torch.tensor([1.5, 0.0, 2.5])
    name = "item" if function(x).is_floating_point() else "nonzero"

    assert torch.equal(torch.compile(function, backend=backend, fullgraph=True)(x), function(x))
    assert len(graphs) == 1
    assert name in graphs[0]
    torch._dynamo.reset()
    assert torch.equal(torch.compile(function, backend=backend)(x), function(x))
    assert all(name not in graph for graph in graphs[1:])


@pytest.mark.needs("compile")
def test_backends_are_listed_without_those_for_debugging():
    """``torch._dynamo.list_backends()`` lists ``inductor`` and ``cudagraphs``; ``list_backends(None)`` also
    ``eager``.
    """
    usual, all_of_them = torch._dynamo.list_backends(), torch._dynamo.list_backends(None)

    assert {"inductor", "cudagraphs"} <= set(usual)
    assert {"eager", "aot_eager"} & set(usual) == set()
    assert {"inductor", "cudagraphs", "eager", "aot_eager"} <= set(all_of_them)


@pytest.mark.needs("compile")
@pytest.mark.since("2.13")
def test_inductor_is_the_default():
    """``torch.compiler.get_default_backend()`` returns ``"inductor"``, the default of ``torch.compile()``.

    It was the default before, too; the function is new, as is ``set_default_backend``, which changes what it
    returns.
    """
    assert torch.compiler.get_default_backend() == "inductor"
    default, named = torch.compile(nn.Linear(2, 3)), torch.compile(nn.Linear(2, 3), backend="inductor")

    assert default.get_compiler_config() == named.get_compiler_config()
    torch.compiler.set_default_backend("eager")
    try:
        assert torch.compiler.get_default_backend() == "eager"
    finally:
        torch.compiler.set_default_backend(None)
    assert torch.compiler.get_default_backend() == "inductor"


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_mode_is_a_set_of_options():
    """``torch._inductor.list_mode_options()`` says what options a ``mode`` of :func:`torch.compile` sets.

    ``default`` sets none. ``max-autotune-no-cudagraphs`` is ``max-autotune`` without CUDA graphs.
    """
    import torch._inductor

    modes = torch._inductor.list_mode_options()

    assert modes["default"] == {}
    assert modes["reduce-overhead"] == {"triton.cudagraphs": True}
    assert modes["max-autotune"]["max_autotune"] is True
    assert modes["max-autotune"] == {**modes["max-autotune-no-cudagraphs"], "triton.cudagraphs": True}
    assert "triton.cudagraphs" not in modes["max-autotune-no-cudagraphs"]


@pytest.mark.needs("compile")
def test_an_unknown_mode_is_refused():
    """:func:`torch.compile` raises ``RuntimeError`` at once for an unknown ``mode`` or unknown
    ``options``.
    """
    with pytest.raises(RuntimeError, match=r"^Unrecognized mode=fast, should be one of: ") as caught:
        torch.compile(lambda x: x * 2, mode="fast")
    named = str(caught.value).split(": ")[1].split(", ")
    assert {"default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"} <= set(named)
    with pytest.raises(RuntimeError, match="Unexpected optimization option speed, known options are"):
        torch.compile(lambda x: x * 2, options={"speed": 7})


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_there_is_a_mode_lite():
    """:func:`torch.compile` accepts ``mode="lite"``, which its documentation leaves out."""
    import torch._inductor

    assert '"lite"' not in torch.compile.__doc__
    assert torch._inductor.list_mode_options()["lite"]["fallback_by_default"] is True
    assert callable(torch.compile(lambda x: x * 2, mode="lite"))


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_known_options_are_listed():
    """``torch._inductor.list_options()`` lists the names of the ``options`` of :func:`torch.compile`."""
    import torch._inductor

    names = torch._inductor.list_options()

    assert {"epilogue_fusion", "max_autotune", "fallback_random", "shape_padding"} <= set(names)
    assert {"triton.cudagraphs", "trace.enabled", "trace.graph_diagram"} <= set(names)
    assert "speed" not in names


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_options_go_to_the_backend():
    """:func:`torch.compile` passes ``options`` or ``mode`` to a custom backend, if they are given.

    If the backend does not take them, the first call raises ``BackendCompilerFailed``.
    """
    given = []

    def backend(graph, inputs, **more):
        given.append(more)
        return graph.forward

    for more in ({"options": {"width": 7}}, {"mode": "reduce-overhead"}, {}):
        assert torch.compile(lambda x: x * 2, backend=backend, **more)(torch.tensor([1.5])).tolist() == [3.0]
        torch._dynamo.reset()
    assert given == [{"options": {"width": 7}}, {"mode": "reduce-overhead"}, {}]

    plain = torch.compile(lambda x: x * 2, backend=lambda graph, inputs: graph.forward, options={"width": 7})
    with pytest.raises(
        torch._dynamo.exc.BackendCompilerFailed, match="unexpected keyword argument 'options'"
    ):
        plain(torch.ones(2))


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_filter_of_guards_is_taken_out_of_the_dict():
    """``torch.compile(options=d)`` removes ``guard_filter_fn`` from ``d``: a second call with ``d`` has no
    filter.

    Make a dict for each call. See :func:`torch.compile`.
    """
    options = {"guard_filter_fn": lambda guards: [False] * len(guards)}

    first = torch.compile(lambda x, text: x * len(text), backend="eager", options=options)
    second = torch.compile(lambda x, text: x * len(text), backend="eager", options=options)

    assert options == {}
    assert [first(torch.ones(1), text).item() for text in ("a", "aaa")] == [1.0, 1.0]
    assert [second(torch.ones(1), text).item() for text in ("a", "aaa")] == [1.0, 3.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.15")
def test_a_name_goes_to_the_backend():
    """``torch.compile(name=...)`` raises ``BackendCompilerFailed`` if a custom backend does not accept
    ``name``.

    The first call raises it. A backend that accepts ``name`` gets it; without ``name`` nothing is passed.
    """
    given = []

    def backend(graph, inputs, **more):
        given.append(more)
        return graph.forward

    def plain(graph, inputs):
        return graph.forward

    torch.compile(lambda x: x * 2, backend=backend, name="double")(torch.ones(2))
    torch.compile(lambda x: x * 3, backend=backend)(torch.ones(2))
    assert given == [{"name": "double"}, {}]
    failing = torch.compile(lambda x: x * 2, backend=plain, name="double")
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="unexpected keyword argument 'name'"):
        failing(torch.ones(2))


@pytest.mark.needs("cuda")
@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_cuda_graph_leaves_arguments_alone():
    """``torch.compile(mode="reduce-overhead")`` makes no CUDA graph where arguments are changed in place.

    Buffers may be changed, such as the running mean of a ``BatchNorm``. A CUDA graph writes each result where
    it wrote the last one: ``clone()`` what is to be kept.
    """

    def uses_one_place(function, x):
        compiled = torch.compile(function, mode="reduce-overhead")
        for _ in range(3):
            compiled(x)
        kept = compiled(x)
        place = kept.data_ptr()
        return compiled(x).data_ptr() == place

    with torch.no_grad():
        assert uses_one_place(lambda x: x * 2 + 1, torch.rand(4, 3, device="cuda")) is True
        assert uses_one_place(lambda x: x.mul_(2) + 1, torch.rand(4, 3, device="cuda")) is False
        assert uses_one_place(nn.BatchNorm1d(3, device="cuda"), torch.rand(4, 3, device="cuda")) is True


@pytest.mark.needs("cuda")
@pytest.mark.needs("compile")
@pytest.mark.since("2.9")
def test_a_cuda_graph_leaves_out_the_cpu():
    """``torch.compile(mode="reduce-overhead")`` makes CUDA graphs of what a function does on the GPU.

    What it does on the CPU runs between them; before, it kept the whole function from being a CUDA graph.
    """
    compiled = torch.compile(lambda x, y: (x * 2 + 1, y @ y), mode="reduce-overhead")
    x, y = torch.rand(4, 3, device="cuda"), torch.rand(3, 3)

    with torch.no_grad():
        for _ in range(3):
            compiled(x, y)
        kept = compiled(x, y)
        place = kept[0].data_ptr()
        again = compiled(x, y)

    assert again[0].data_ptr() == place
    assert torch.equal(again[1], y @ y)


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_a_name_shows_in_dispatch_modes():
    """``torch.compile(name=...)`` names the compiled graphs that a ``TorchDispatchMode`` sees.

    That is where ``torch._inductor.config.wrap_inductor_compiled_regions`` was on in compilation. By default
    the mode sees the operators, without a name.
    """
    seen = []

    class Watch(TorchDispatchMode):
        supports_higher_order_operators = True

        @classmethod
        def ignore_compile_internals(cls):
            return True

        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            seen.append((str(operator), (kwargs or {}).get("name")))
            return operator(*args, **(kwargs or {}))

    for wrap in (True, False):
        with torch._inductor.config.patch(wrap_inductor_compiled_regions=wrap):
            square, x = torch.compile(lambda x: x @ x, name="square"), torch.eye(2) * 3
            square(x)
        with Watch():
            assert square(x).tolist() == [[9.0, 0.0], [0.0, 9.0]]
        torch._dynamo.reset()

    assert seen == [("inductor_compiled_code", "square"), ("aten.mm.out", None)]
