"""Whether assertions can fail: what a clause calls is changed, and what never fails is told."""

import contextlib
import copy
import inspect
import json
import warnings
import weakref

import pytest
import torch
from driving import measure
from torch import nn

from nnspec.strength.assertions import Watch, rewrite
from nnspec.strength.returns import NotApplicable


def watched(function, *args):
    """The assertions of a clause, and those of them that nothing makes fail, by their text."""
    watch = Watch()
    rewritten = rewrite(function, watch, inner=True)
    rewritten.function(*args)
    assert watch.failed == set()
    assert watch.seen == set(range(len(rewritten.assertions)))
    failed = set()
    for change in list(watch.answers.possible):
        watch.answers.begin(change)
        watch.failed = set()
        with contextlib.suppress(Exception, NotApplicable):
            rewritten.function(*args)
        failed |= watch.failed
    return rewritten.assertions, [text for n, text in enumerate(rewritten.assertions) if n not in failed]


def halves():
    layer = nn.Linear(2, 3)
    assert layer.training is True and layer.bias is not None  # noqa: PT018
    assert [layer.in_features, (1, layer.weight.shape[0])] == [2, (1, 3)]
    assert [layer.in_features, layer.out_features] == sorted([3, 2])
    assert list({"a": 1, "b": 2}.items()) == [("a", 1), ("b", 2)]


def test_halves_and_elements_are_assertions_of_their_own():
    assertions, _ = watched(halves)

    assert assertions == [
        "layer.training is True",
        "layer.bias is not None",
        "layer.in_features == 2",
        "1 == 1",
        "layer.weight.shape[0] == 3",
        "layer.in_features in [layer.in_features, layer.out_features] == sorted([3, 2])",
        "layer.out_features in [layer.in_features, layer.out_features] == sorted([3, 2])",
        "list({'a': 1, 'b': 2}.items()) == [('a', 1), ('b', 2)]",
    ]


def errors():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        nn.Linear(2, 3)(torch.ones(1, 5))
    with pytest.raises(TypeError):
        nn.Linear()
    with pytest.warns(UserWarning, match="old"):
        warnings.warn("it is old", UserWarning, stacklevel=1)
    torch.testing.assert_close(nn.Identity()(torch.ones(2)), torch.ones(2))


def test_errors_and_warnings_are_assertions_and_so_are_their_messages():
    assertions, unfailing = watched(errors)

    assert assertions == [
        "pytest.raises(RuntimeError, match='mat1 and mat2')",
        "pytest.raises(RuntimeError, match='mat1 and mat2'): its message",
        "pytest.raises(TypeError)",
        "pytest.warns(UserWarning, match='old')",
        "pytest.warns(UserWarning, match='old'): its message",
        "torch.testing.assert_close(nn.Identity()(torch.ones(2)), torch.ones(2))",
    ]
    assert unfailing == ["pytest.warns(UserWarning, match='old')"]  # Python warned, not torch


def tautologies():
    layer = nn.Linear(2, 3)
    before = layer.weight
    copied = copy.deepcopy(layer)
    assert before is before
    assert copied.weight is not before
    assert len([1, 2]) == 2
    with pytest.raises(RuntimeError, match=r".*"):
        layer(torch.ones(1, 5))


def test_what_cannot_fail_is_told():
    _, unfailing = watched(tautologies)

    assert unfailing == [
        "before is before",
        "len([1, 2]) == 2",
        "pytest.raises(RuntimeError, match='.*'): its message",
    ]


def a_given_function(ranks):
    assert ranks(len) == [[2], [3]]


def test_what_is_given_to_a_clause_is_changed():
    assert watched(a_given_function, lambda function: [[2], [3]])[1] == []


def nothing_done():
    layer = nn.Linear(2, 3)
    layer.eval()
    assert layer.training is False
    layer.weight = nn.Parameter(torch.full((3, 2), 2.0))
    assert layer.weight[0, 0].item() == 2.0
    layer.scale = 2
    del layer.scale
    assert not hasattr(layer, "scale")
    with torch.no_grad():
        y = layer(torch.ones(2))
    assert y.requires_grad is False


def more_done():
    layer = nn.BatchNorm1d(2)
    layer(torch.ones(3, 2))
    assert layer.num_batches_tracked.item() == 1
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert layer.running_mean.tolist() == pytest.approx([0.1, 0.1])
    layer.requires_grad_(False)
    assert layer.training is True
    assert list(layer.children()) == []


def other_answers():
    layer = nn.Linear(2, 3)
    assert layer.train() is layer
    assert type(layer.register_forward_hook(print)).__name__ == "RemovableHandle"
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert layer.extra_repr() == "in_features=2, out_features=3, bias=True"
    assert isinstance(copy.deepcopy(layer), nn.Linear)
    assert layer(torch.ones(4, 2)).shape == (4, 3)
    assert layer(torch.ones(4, 2)).dtype == torch.float32


def beside_the_answer():
    layer = nn.Linear(2, 3)
    owner = nn.Identity()
    reference = weakref.ref(owner)
    nn.Identity()(owner)
    del owner
    assert reference() is None
    ran = []
    handle = layer.register_forward_hook(lambda module, args, output: ran.append("hook"))
    assert ran == []
    with warnings.catch_warnings(record=True) as caught:
        layer.eval()
    assert [str(warning.message) for warning in caught] == []
    before = layer.weight
    layer.zero_grad()
    assert layer.weight is before
    assert copy.copy(handle).id == handle.id


def raised_in_the_second_round():
    layer = nn.Linear(2, 3)
    for width in (2, 5):
        layer(torch.ones(1, width))


def test_a_call_raises_its_own_error_whatever_is_changed():
    watch = Watch()
    rewritten = rewrite(raised_in_the_second_round, watch)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        rewritten.function()

    kinds = set()
    for change in list(watch.answers.possible):
        watch.answers.begin(change)
        try:
            rewritten.function()
        except (Exception, NotApplicable) as error:
            kinds.add(type(error))
    assert RuntimeError in kinds
    assert KeyError not in kinds


def what_is_handed():
    seen = []
    layer = nn.Identity()
    layer.register_forward_hook(lambda module, args, output: seen.append(args))
    layer(None)
    assert seen == [(None,)]


def what_is_inside():
    found = list(nn.Linear(2, 3).named_parameters())
    assert all(isinstance(parameter, nn.Parameter) for _, parameter in found)


def operators():
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    whole = net
    net += nn.Sequential(nn.ELU())
    assert net is whole
    assert net[0] is whole[0]
    assert repr(net[1:] + net[:1]).count("Tanh") == 1


def calls_of_inner_functions():
    layer = nn.Linear(2, 3)

    def freeze():
        layer.requires_grad_(False)

    freeze()
    assert layer.weight.requires_grad is False


def several(*args):
    return args


def other_words():
    with pytest.raises(torch.jit.frontend.NotSupportedError, match="variable number of arguments"):
        torch.jit.script(several)


def what_is_looked_at():
    layer = nn.Linear(2, 3, bias=False)
    before = torch.get_rng_state()
    layer.eval()
    assert torch.equal(torch.get_rng_state(), before)
    assert layer.bias is None
    assert layer.weight.grad is None
    assert layer.weight.dtype == torch.float32
    assert layer.weight.shape == (3, 2)
    assert layer.weight.device.type == "cpu"
    assert torch.rand(2).requires_grad is False
    assert hasattr(layer, "wieght") is False
    assert inspect.signature(layer.zero_grad).parameters["set_to_none"].default is True
    optimizer = torch.optim.SGD([{"params": layer.parameters()}], lr=0.5)
    assert optimizer.param_groups[0]["lr"] == 0.5
    with pytest.raises(AttributeError, match="wieght"):
        _ = layer.wieght


CHANGED = [nothing_done, more_done, other_answers, beside_the_answer, what_is_handed, what_is_inside]
CHANGED += [what_is_looked_at, operators, calls_of_inner_functions, other_words]


@pytest.mark.parametrize("clause", CHANGED)
def test_what_calls_do_and_return_is_changed(clause):
    _, unfailing = watched(clause)

    assert unfailing == []


def outside():
    def inner():
        assert 1 == 2

    class Net(nn.Module):
        def forward(self, x):
            assert x is not None
            return x

    assert Net()(3) == 3
    assert callable(inner)


def test_functions_and_classes_of_a_clause_are_left_as_they_are():
    assertions, _ = watched(outside)

    assert assertions == ["Net()(3) == 3", "callable(inner)"]


SUMS = """
def larger(a, b):
    if a < b:
        return b
    return a
"""

CLAUSES = '''
import pytest
from torch import nn
from tiny import sums


def test_larger():
    """The larger one is returned."""
    found = [sums.larger(2, 3), sums.larger(5, 4)]
    assert found == [3, 5]
    assert found != found * 2


def test_identity():
    """An identity returns its input."""
    for x in []:
        assert nn.Identity()(x) == x
    assert nn.Identity()(2) == 2


@pytest.mark.parametrize("value", [1, 2])
def test_cases(value):
    """What fails in one case can fail."""
    assert value == 2 or nn.Identity()(value) == 1


def test_asserts_a_place():
    """It looks where it is written."""
    import inspect
    assert inspect.currentframe().f_code.co_name == "test_asserts_a_place"


@pytest.mark.before("2.1")
def test_old():
    """It is of the past."""
    assert nn.Identity()(1) == 2


@pytest.mark.needs("cuda")
def test_elsewhere():
    """It needs a GPU."""
    assert nn.Identity()(1) == 1
'''

DRIVER = """
import sys
from nnspec import cli
from nnspec.strength import clauses_command
clauses_command.MODULES, clauses_command.FURTHER_MODULES = ("tiny.sums",), ()
sys.exit(cli.main(["strength", "--clauses", "--jobs", "2", *sys.argv[1:]]))
"""


@pytest.fixture
def project(tmp_path):
    part = tmp_path / "spec" / "mini"
    part.mkdir(parents=True)
    for folder in ("tiny", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tiny" / "__init__.py").write_text("")
    (tmp_path / "tiny" / "sums.py").write_text(SUMS)
    (part / "test_small.py").write_text(CLAUSES)
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


def test_a_run_tells_and_records_what_never_fails_and_goes_on_where_it_was(project):
    code, shown, errors = measure(project)

    [path] = (project / "docs" / "records").iterdir()
    record = json.loads(path.read_text())
    assert path.name == f"assertions-{record['run']['torch']}-cpu.json"
    assert record["never fail"] == {
        "mini.small.asserts_a_place": ["inspect.currentframe().f_code.co_name == 'test_asserts_a_place'"],
        "mini.small.identity": ["never reached: nn.Identity()(x) == x"],
        "mini.small.larger": ["found != found * 2"],
    }
    assert record["not judged"] == {"mini.small.elsewhere": "it is not run here"}
    assert {name: number for name, (_, number) in record["judged"].items()} == {
        "mini.small.asserts_a_place": 1,
        "mini.small.cases": 1,
        "mini.small.elsewhere": 0,
        "mini.small.identity": 2,
        "mini.small.larger": 2,
    }
    assert code == 1
    assert "mini.small.larger: found != found * 2" in shown.partition("does not say why:")[2]
    assert "5/5 clauses" in errors.splitlines()[-1]

    unfailing = [
        "mini.small.larger: found != found * 2",
        "mini.small.asserts_a_place: inspect.currentframe().f_code.co_name == 'test_asserts_a_place'",
        "mini.small.identity: never reached: nn.Identity()(x) == x",
        "mini.small.larger: it went",
    ]
    table = project / "docs" / "assertions.toml"
    table.write_text("".join(f'["{name}"]\nwhy = "so"\n' for name in unfailing))
    code, shown, errors = measure(project)
    assert errors.splitlines() == ["5 clauses, 5 of them known already"]
    assert code == 0
    assert "outdated in docs/assertions.toml: mini.small.larger: it went; remove it" in shown

    for journal in (project / "build").iterdir():
        journal.unlink()
    _, _, errors = measure(project)
    assert errors.splitlines() == ["5 clauses, 5 of them known already"]

    chapter = project / "spec" / "mini" / "test_small.py"
    chapter.write_text(chapter.read_text().replace("for x in []", "for x in [1]"))
    code, shown, errors = measure(project)
    assert errors.splitlines()[0] == "5 clauses, 4 of them known already"
    assert "mini.small.identity: never reached: nn.Identity()(x) == x; remove it" in shown

    path.write_text("{}")
    _, _, errors = measure(project)
    assert errors.splitlines()[0].startswith(f"all clauses are judged anew: {path}")


def test_a_part_is_not_recorded(project):
    code, shown, _ = measure(project, "--only", "*.cases")

    assert code == 0
    assert "not recorded: only a whole run is" in shown
    assert not (project / "docs" / "records").exists()


def test_a_pattern_that_nothing_matches_is_refused(project):
    code, _, errors = measure(project, "--only", "mini.large.*")

    assert code == 2
    assert "--only mini.large.*: no clause that can be judged here has such an id" in errors


def test_an_explanation_says_why(project):
    (project / "docs" / "assertions.toml").write_text('["mini.small.larger: a"]\nbecause = "so"\n')

    code, _, errors = measure(project)

    assert code == 2
    assert "has an unknown entry 'because'" in errors
