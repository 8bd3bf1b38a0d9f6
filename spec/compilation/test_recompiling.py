"""When code is compiled again, and when no more.

:func:`torch.compile` makes a graph for what it was called with. A call that does not fit any graph makes
another, up to a limit; then the function runs as it is written.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("dynamic", "made"),
    [(None, [1, 2, 2, 2]), (True, [1, 1, 1, 1]), (False, [1, 2, 3, 4])],
    ids=["default", "dynamic", "static"],
)
def test_sizes_may_share_a_graph(dynamic, made):
    """``torch.compile(dynamic=False)`` makes a graph for each input size, ``dynamic=True`` one, the default
    two.

    By default the second size makes a graph for all further ones. See :func:`torch.compile`.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x: x * 2, backend=backend, dynamic=dynamic)

    numbers = []
    for size in (2, 3, 4, 5):
        assert compiled(torch.ones(size)).tolist() == [2.0] * size
        numbers.append(len(graphs))
    assert numbers == made


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_size_may_be_marked_dynamic():
    """``torch.compile(dynamic=False)`` makes one graph for all sizes of a dimension marked by
    ``mark_dynamic``.

    The mark wins over the argument.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x: x * 2, backend=backend, dynamic=False)
    first = torch.ones(5)
    torch._dynamo.mark_dynamic(first, 0)
    for x in (first, torch.ones(6), torch.ones(7)):
        compiled(x)
    assert len(graphs) == 1

    torch._dynamo.reset()
    for size in (5, 6, 7):
        compiled(torch.ones(size))
    assert len(graphs) == 4


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_size_that_is_looked_at_is_fixed():
    """``torch.compile(dynamic=True)`` makes a graph per size if the size is an index into a list."""
    graphs, factors = [], [5.0, 6.0, 7.0, 8.0, 9.0]

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    fixed = torch.compile(lambda x: x * factors[x.shape[0]], backend=backend, dynamic=True)
    free = torch.compile(lambda x: x * x.shape[0], backend=backend)

    assert [fixed(torch.ones(size))[0].item() for size in (2, 3, 4)] == [7.0, 8.0, 9.0]
    assert len(graphs) == 3
    assert [free(torch.ones(size))[0].item() for size in (2, 3, 4)] == [2.0, 3.0, 4.0]
    assert len(graphs) == 3 + 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_function_has_eight_graphs_at_most():
    """:func:`torch.compile` makes at most 8 graphs of a function; further calls that fit none run eagerly.

    ``torch._dynamo.config.recompile_limit`` is the limit. Such a function becomes slow without an error.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x, text: x * len(text), backend=backend)

    numbers = []
    for length in range(1, 11):
        assert compiled(torch.ones(1), "a" * length).item() == length
        numbers.append(len(graphs))
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]


@pytest.mark.needs("compile")
@pytest.mark.since("2.7")
def test_the_limit_may_be_configured():
    """``torch._dynamo.config.recompile_limit`` caps how many graphs of a function :func:`torch.compile`
    makes.

    Beyond it the function runs eagerly. The default is 8.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x, text: x * len(text), backend=backend)

    assert torch._dynamo.config.recompile_limit == 8
    with torch._dynamo.config.patch(recompile_limit=3):
        for length in range(1, 6):
            compiled(torch.ones(1), "a" * length)
    assert len(graphs) == 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_the_limit_counts_the_first_graph_too():
    """``recompile_limit`` of :func:`torch.compile` counts the first graph: 1 allows no recompilation.

    With 0 nothing is compiled at all.
    """
    made = {}
    for limit in (0, 1, 3):
        graphs = made[limit] = []

        def backend(graph, inputs, graphs=graphs):
            graphs.append(graph)
            return graph.forward

        compiled = torch.compile(lambda x, text: x * len(text), backend=backend, recompile_limit=limit)
        for length in range(1, 6):
            assert compiled(torch.ones(1), "a" * length).item() == length
        torch._dynamo.reset()

    assert {limit: len(graphs) for limit, graphs in made.items()} == {0: 0, 1: 1, 3: 3}


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_the_limit_is_an_error_for_a_full_graph():
    """``torch.compile(fullgraph=True)`` raises ``FailOnRecompileLimitHit`` beyond ``recompile_limit``."""
    compiled = torch.compile(
        lambda x, text: x * len(text), backend="eager", fullgraph=True, recompile_limit=2
    )

    assert [compiled(torch.ones(1), text).item() for text in ("a", "aa", "a")] == [1.0, 2.0, 1.0]
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit, match="fullgraph=True"):
        compiled(torch.ones(1), "aaa")


@pytest.mark.needs("compile")
def test_copies_of_a_function_share_code():
    """Functions made by running one ``def`` twice share a cache of :func:`torch.compile` graphs.

    They have the same code object, so the second makes no graph that the first has made.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def make():
        def triple(x):
            return x * 3

        return triple

    first, second = make(), make()
    assert first is not second
    assert first.__code__ is second.__code__
    assert torch.compile(first, backend=backend)(torch.ones(2)).tolist() == [3.0, 3.0]
    assert torch.compile(second, backend=backend)(torch.ones(2)).tolist() == [3.0, 3.0]
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.13")
@pytest.mark.parametrize(
    ("options", "made"),
    [({"isolate_recompiles": False}, [2, 2, 2]), ({"isolate_recompiles": True}, [2, 3, 4])],
    ids=["shared", "isolated"],
)
def test_two_compilations_share_graphs_unless_isolated(options, made):
    """Two :func:`torch.compile` calls on one function share graphs and limit unless
    ``isolate_recompiles=True``.
    """
    graphs, numbers = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def lengthen(x, text):
        return x * len(text)

    first, second = (torch.compile(lengthen, backend=backend, recompile_limit=2, **options) for _ in range(2))
    for compiled, texts in ((first, ["a", "aa", "aaa"]), (second, ["a"]), (second, ["aaaa"])):
        for text in texts:
            assert compiled(torch.ones(1), text).item() == len(text)
        numbers.append(len(graphs))
    assert numbers == made


@pytest.mark.needs("compile")
@pytest.mark.since("2.13")
def test_an_isolated_compilation_uses_shared_graphs():
    """``torch.compile(isolate_recompiles=True)`` reuses graphs of plain ``torch.compile``, but has its own
    limit.

    It compiles on where the plain one has given up.
    """
    graphs, numbers = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def lengthen(x, text):
        return x * len(text)

    plain = torch.compile(lengthen, backend=backend, recompile_limit=2)
    isolated = torch.compile(lengthen, backend=backend, recompile_limit=2, isolate_recompiles=True)
    for compiled, texts in (
        (plain, ["a", "aa", "aaa"]),
        (isolated, ["a", "aa"]),
        (isolated, ["aaaa"]),
        (plain, ["aaaaa"]),
    ):
        for text in texts:
            assert compiled(torch.ones(1), text).item() == len(text)
        numbers.append(len(graphs))
    assert numbers == [2, 2, 3, 3]


@pytest.mark.needs("compile")
@pytest.mark.since("2.13")
def test_isolated_compilations_have_a_limit_together():
    """``accumulated_recompile_limit`` caps all ``isolate_recompiles=True`` compilations of a function
    together.

    It is in ``torch._dynamo.config``, and counts their graphs. ``recompile_limit`` limits each
    :func:`torch.compile` alone.
    """
    graphs, numbers = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def lengthen(x, text):
        return x * len(text)

    options = {"backend": backend, "isolate_recompiles": True, "recompile_limit": 2}
    with torch._dynamo.config.patch(accumulated_recompile_limit=3):
        for compiled in [torch.compile(lengthen, **options) for _ in range(4)]:
            compiled(torch.ones(1), "a")
            numbers.append(len(graphs))
    assert numbers == [1, 2, 3, 3]


@pytest.mark.needs("compile")
@pytest.mark.since("2.13")
def test_what_is_skipped_stays_skipped():
    """A ``torch._dynamo.decorators.skip`` function runs eagerly, even with ``isolate_recompiles=True``.

    That is so after :func:`torch.compile` in both forms. The documentation calls the decorator
    ``torch._dynamo.skip``, which does not exist.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    @torch._dynamo.decorators.skip
    def triple(x):
        return x * 3

    for isolated in (False, True):
        compiled = torch.compile(triple, backend=backend, isolate_recompiles=isolated)
        assert compiled(torch.ones(2)).tolist() == [3.0, 3.0]
    assert graphs == []
    assert not hasattr(torch._dynamo, "skip")


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("way", ["wrapped", "in place", "argument"])
def test_layers_of_a_class_share_a_graph(way):
    """Modules of one class that differ in their weights only share one graph of :func:`torch.compile`.

    So it is for blocks compiled one by one, and for a compiled function that is given the module. A number
    that differs makes another graph (:issue:`134954`).
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Block(nn.Linear):
        factor = 2

        def forward(self, x):
            return super().forward(x) * self.factor

    call = torch.compile(lambda block, x: block(x), backend=backend)
    x = torch.rand(2)
    for factor, made in ((2, 1), (2, 1), (2, 1), (3, 2)):
        block = Block(2, 3)
        block.factor = factor
        if way == "in place":
            block.compile(backend=backend)
        compiled = torch.compile(block, backend=backend) if way == "wrapped" else block
        assert torch.equal(call(block, x) if way == "argument" else compiled(x), block.forward(x))
        assert len(graphs) == made


@pytest.mark.needs("compile")
@pytest.mark.before("2.5")
def test_each_layer_had_a_graph():
    """:func:`torch.compile` makes a graph for each module, even for modules of one class."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Block(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    for block in [Block(2, 3) for _ in range(3)]:
        torch.compile(block, backend=backend)(torch.rand(2))

    assert len(graphs) == 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_modules_of_a_class_share_the_limit():
    """Modules of one class that ``torch.compile`` wraps share a limit of 8 graphs; beyond it they run
    eagerly.

    A number or text that differs in each makes a graph for each; those beyond the limit are slow without an
    error. Raise ``torch._dynamo.config.recompile_limit`` for them (:issue:`171593`).
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Scale(nn.Module):
        def forward(self, x):
            return x * ord(self.name)

    for name in "aabcdefghijk":
        net = Scale()
        net.name = name
        assert torch.compile(net, backend=backend)(torch.tensor(2.0)).item() == 2.0 * ord(name)
        counted.append(len(graphs))
    assert counted == [1, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]
