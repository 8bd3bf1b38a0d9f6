"""The contract from Python."""

import doctest
import inspect
import os
import random
import statistics
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import nnspec.contract
from nnspec.contract import ContractError, api, check, parametrize
from nnspec.errors import UsageError

pytest_plugins = ["pytester"]

ROWS = torch.rand(3, 4, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """One layer is registered, one hides in a list."""

    def __init__(self, width=4):
        super().__init__()
        self.inner = nn.Linear(4, width)
        self.blocks = [nn.Linear(width, 2)]

    def forward(self, x):
        return self.blocks[0](self.inner(x))


def leave():
    raise SystemExit("no example")


class Sound(Net):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(self.blocks)


def test_examples_of_the_documentation():
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    finder = doctest.DocTestFinder()
    for function in (api.check, api.parametrize):
        for example in finder.find(function, globs={}):
            assert doctest.DocTestRunner(optionflags=flags).run(example).failed == 0


@pytest.mark.parametrize("build", [Sound, lambda: Sound(), Sound()], ids=["class", "factory", "module"])
def test_a_sound_module_has_no_findings(build):
    report = check(build, ROWS)

    assert report.findings == []
    assert report.failed == []
    report.raise_if("note")


@pytest.mark.parametrize("build", [Net, lambda: Net(5), Net()], ids=["class", "factory", "module"])
def test_a_finding_has_all_of_its_parts(build):
    report = check(build, ROWS, only=["registration"])

    (finding,) = report.findings
    assert finding.to_dict() == {
        "rule": "registration.modules_in_containers",
        "severity": "error",
        "attribute": "blocks",
        "cause": "`blocks` is a plain list with 1 module in it: its 2 parameters are not registered",
        "cure": "use nn.ModuleList",
    }
    with pytest.raises(ContractError, match=r"use nn\.ModuleList"):
        report.raise_if()


@pytest.mark.parametrize(
    "example",
    [ROWS, (ROWS,), [ROWS], {"x": ROWS}, ((ROWS,), {}), lambda: ROWS, ROWS.clone().requires_grad_() * 2],
    ids=["tensor", "tuple", "list", "dict", "pair", "function", "computed"],
)
def test_every_kind_of_example(example):
    assert check(Sound, example, only=["calling"]).findings == []


def test_all_is_left_as_it_was():
    net = Sound().eval()
    net.blocks.train()
    net(ROWS).sum().backward()
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    modes = [module.training for module in net.modules()]
    attributes = {name: set(vars(module)) for name, module in net.named_modules()}

    def draws():
        return torch.rand(1).item(), random.random(), np.random.rand()

    for generator in (torch.manual_seed, random.seed, np.random.seed):
        generator(7)
    expected = draws()
    for generator in (torch.manual_seed, random.seed, np.random.seed):
        generator(7)
    check(net, ROWS)

    assert draws() == expected
    assert all(torch.equal(kept[name], value) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, grad) for p, grad in zip(net.parameters(), grads, strict=True))
    assert [module.training for module in net.modules()] == modes
    assert {name: set(vars(module)) for name, module in net.named_modules()} == attributes
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (True, torch.float32)


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(UsageError, match="the folder that this was started in is gone"):
        check(Net, ROWS, only=["modes"])


class Unspeakable(TypeError):
    """An error that cannot say what it is."""

    def __str__(self):
        raise ValueError("no words")


class Stubborn(nn.Linear):
    """Its mode cannot be set, and it does not say why."""

    def train(self, mode=True):
        raise Unspeakable


def test_an_error_without_words_is_a_finding_as_any_other():
    report = check(lambda: Stubborn(4, 2), ROWS, only=["modes"])

    assert "Unspeakable: its text cannot be shown" in report.findings[0].cause


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_gradients_are_judged_where_none_are_recorded(without):
    with without():
        report = check(lambda: nn.Linear(4, 2), torch.rand(3, 4), only=["gradients"])
        assert not torch.is_grad_enabled()

    assert (report.findings, report.exit_code()) == ([], 0)


@pytest.mark.parametrize(
    ("build", "example", "options", "message"),
    [
        (3, ROWS, {}, "3: is no module, and nothing that makes one"),
        ("models:Net", ROWS, {}, "nothing that makes one; give a module's class, or a function that returns"),
        (Net, (threading.Lock(),), {}, "the example cannot be copied, and each rule takes a copy: TypeError"),
        (Net, 3, {}, "the example is an int; expected a tensor, a tuple or list of positional inputs"),
        (lambda: 3, ROWS, {}, "returns an int, not a torch.nn.Module"),
        (
            Net,
            torch.rand(3, 5),
            {},
            "Net: raised when called, in train mode, on float32 (3, 5): Runtime",
        ),
        (Net, ROWS, {"devices": ["tpu"]}, "no such device here"),
        (Net, ROWS, {"allow": {"closed": ""}}, "allow: 'closed' is no rule of the contract"),
        (Net, ROWS, {"skip": ["closed"]}, "skip: 'closed' is no rule of the contract"),
        (Net, ROWS, {"skip": [None]}, "skip: None is no rule of the contract; name one, such as 'pickling'"),
        (Net, ROWS, {"only": "modes"}, "only='modes': name rules or chapters in a list, such as ['modes']"),
        (Net, ROWS, {"only": 5}, "only=5: name rules or chapters in a list, such as ['modes']"),
        (Net, ROWS, {"allow": ["pickling"]}, "allow=['pickling']: give rules with reasons, such as {'pick"),
        (Net, ROWS, {"allow": {"pickling": ""}}, "allow: the reason of 'copying.pickling' is ''; say in"),
        (Net, ROWS, {"only": ["modes"], "skip": ["modes"]}, "only and skip leave no rule to judge by"),
        (Net, ROWS, {"devices": "cpu"}, "devices='cpu': name device types in a list, such as ['cpu']"),
        (Net, ROWS, {"devices": [torch.device("cpu")]}, "devices: device(type='cpu') is no text; name"),
        (Net, ROWS, {"limit": "5"}, "limit='5': is no number of seconds to wait for"),
        (Net, leave, {}, "the example: raised: SystemExit: no example"),
    ],
)
def test_a_misuse_is_one_message(build, example, options, message):
    with pytest.raises(UsageError) as caught:
        check(build, example, **options)

    assert message in str(caught.value)


class AsksForAGPU(nn.Linear):
    """What .cuda() raises where there is no GPU."""

    def forward(self, x):
        raise AssertionError("Torch not compiled with CUDA enabled")


def test_who_asks_for_a_gpu_is_told_what_to_write():
    with pytest.raises(UsageError, match=r"leave the device to who calls \.to\(\), and in forward write"):
        check(lambda: AsksForAGPU(4, 2), ROWS)


class Secretive:
    """It makes a module, and shows nothing of itself."""

    def __call__(self):
        return Net()

    def __repr__(self):
        raise RuntimeError("no words")

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")


def test_what_makes_a_module_need_not_show_itself():
    assert check(Secretive(), ROWS, only=["printing"]).name == "Secretive"


def test_a_class_without_a_name_is_told_as_an_object():
    with pytest.raises(UsageError, match="the example is an object; expected a tensor"):
        check(Net, type("", (), {})())


class Patches(Net):
    def forward(self, x):
        inspect.signature = leave_nothing
        return super().forward(x)


def leave_nothing(*args, **kwargs):
    raise ZeroDivisionError("patched")


def test_what_a_module_puts_in_the_place_of_a_function_is_told_as_its_own(monkeypatch):
    monkeypatch.setattr(inspect, "signature", inspect.signature)  # put back at the end

    with pytest.raises(UsageError, match=r"^Patches: what it has put .* judged: ZeroDivisionError: patched"):
        check(Patches, ROWS, only=["printing"])


class NeverCopied(Net):
    def __deepcopy__(self, memo):
        while True:
            pass


def test_a_copy_without_an_end_is_not_waited_for():
    with pytest.raises(UsageError, match=r"^NeverCopied: was not built within 0\.2 seconds; give a higher"):
        check(NeverCopied(), ROWS, limit=0.2)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([Net], "is no case; give a Case, or a tuple of what makes the module, what it is called with"),
        ("ab", "'a': is no case"),
        ([(Net, ROWS, {}, 3)], "3: is no name of a case; give a text, or leave it out"),
        ([], "no case was given, and nothing would be tested"),
        (None, "None: is no list of cases; give [(Net, example)]"),
        ([(Net, ROWS, ["pickling"])], "expected=['pickling']: give rules with reasons"),
        ([(Net, ROWS, {5: "odd"})], "expected: 5 is no rule of the contract"),
    ],
)
def test_what_is_no_case(cases, message):
    with pytest.raises(UsageError) as caught:
        parametrize(cases)

    assert message in str(caught.value)


def test_what_is_no_severity():
    with pytest.raises(UsageError, match="'grave' is no severity; one of error, warning, note"):
        check(Net, ROWS, only=["modes"]).raise_if("grave")


class Copied(Net):
    def __deepcopy__(self, memo):
        return 5

    def __reduce__(self):
        return int, (5,)


def test_a_copy_that_is_no_module():
    report = check(Copied, ROWS, only=["copying"])

    assert [finding.cause for finding in report.findings] == [
        "copy.deepcopy gives an int",
        "it comes back from pickle as an int",
    ]
    assert not report.failed


class Endless(Net):
    def forward(self, x):
        output = [super().forward(x)]
        output.append(output)
        return output


def test_an_output_that_holds_itself():
    report = check(Endless, ROWS, only=["rows", "copying", "calling"])

    assert not report.failed


def test_a_module_that_is_already_made_and_refuses_to_be_copied():
    net = Sound()
    net.__class__ = type("Leaves", (Sound,), {"__deepcopy__": lambda self, memo: leave()})

    with pytest.raises(UsageError, match="cannot be copied: SystemExit: no example"):
        check(net, ROWS)


def test_a_module_that_cannot_be_copied():
    net = Sound()
    net.norm = net.inner.weight.norm()

    with pytest.raises(UsageError, match="cannot be copied: RuntimeError"):
        check(net, ROWS)


def test_what_tests_make_of_it(pytester):
    pytester.makepyfile(
        """
        import nnspec.contract
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.Linear(4, 4)
                self.blocks = [nn.Linear(4, 2)]
                self.count = 0

            def forward(self, x):
                self.count += 1
                return self.blocks[0](self.inner(x))

        KNOWN = {"modules_in_containers": "is walked by hand", "a_replica": "was so once"}

        @nnspec.contract.parametrize(
            [(Net, torch.rand(3, 4)), nnspec.contract.Case(Net, torch.rand(3, 4), KNOWN, "known")]
        )
        def test_contract(check):
            check()
        """
    )
    chosen = "modules_in_containers or a_replica or attributes_stay or computing_in_float64"
    result = pytester.runpytest_inprocess("-q", "-rA", "-k", chosen)

    result.stdout.fnmatch_lines_random(
        [
            "FAILED *[[]Net-registration.modules_in_containers[]]*",
            "XFAIL *[[]known-registration.modules_in_containers[]] - is walked by hand",
            "PASSED *[[]Net-replacing.a_replica[]]",
            "FAILED *[[]known-replacing.a_replica[]]*",
            "replacing.a_replica is expected to be violated (was so once), and it holds: *",
            "*ContractWarning: calling.attributes_stay: `count` is 1 after a call*",
        ]
    )


def test_importing_it_costs_what_torch_costs():
    def seconds(code):
        """Of the processor, since whatever else runs beside takes none of those."""
        times = []
        for _ in range(3):
            before = os.times()
            subprocess.run([sys.executable, "-c", code], check=True)
            after = os.times()
            times.append(sum(after[2:4]) - sum(before[2:4]))
        return statistics.median(times)

    code = "import sys; from nnspec.contract import check; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert seconds("from nnspec.contract import check") < 1.5 * seconds("import torch")


def test_importing_the_package_alone_imports_no_torch():
    code = "import sys, nnspec.contract; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'chek'"):
        nnspec.contract.chek  # noqa: B018


def test_nothing_is_judged_where_tensors_are_no_ordinary_ones():
    with FakeTensorMode(), pytest.raises(UsageError, match="where torch makes FakeTensors"):
        check(Sound, ROWS)
    for transform in (torch.func.vmap, torch.func.grad):
        with pytest.raises(UsageError, match=r"inside of a transform of torch\.func"):
            transform(lambda x: check(Sound, ROWS) and x.sum())(torch.ones(3))
