"""Which devices and which needs a machine has, on machines that are made up."""

import sys
from types import SimpleNamespace

import pytest

from nnspec.errors import UsageError
from nnspec.running import devices

CACHED = (devices.present, devices._torchvision_imports, devices._compile_works)


@pytest.fixture
def torch(monkeypatch):
    """A torch of a machine with two CUDA devices, an MPS device, no XPU, and one of a vendor's own."""

    def there(**more):
        return SimpleNamespace(is_available=lambda: True, **more)

    made = SimpleNamespace(
        cuda=there(device_count=lambda: 2, get_device_name=lambda: "NVIDIA H200"),
        backends=SimpleNamespace(mps=there(), cuda=SimpleNamespace()),
        mps=SimpleNamespace(),
        xpu=SimpleNamespace(is_available=lambda: False),
        own=there(device_count=lambda: 3, get_device_name=lambda: "Own 1"),
        distributed=there(),
        ones=lambda count: 1,
        compile=lambda function, backend: function,
        _C=SimpleNamespace(_get_privateuse1_backend_name=lambda: "own"),
        _dynamo=SimpleNamespace(reset=lambda: resets.append("reset")),
    )
    resets = made.resets = []
    for function in CACHED:
        function.cache_clear()
    monkeypatch.setattr(devices, "torch", made)
    yield made
    for function in CACHED:
        function.cache_clear()


def test_the_devices_that_are_there(torch):
    assert devices.present() == ("cpu", "cuda", "mps", "own")


def test_a_vendors_device_has_a_name_before_torch_can_rename_it(torch):
    torch._C = SimpleNamespace()
    torch.privateuseone = torch.own

    assert devices.present() == ("cpu", "cuda", "mps", "privateuseone")


def test_a_device_that_comes_with_a_library_is_imported_when_it_is_named(torch, monkeypatch):
    module = SimpleNamespace(real_devices=lambda: ["TPU:0", "TPU:1"])
    monkeypatch.delitem(sys.modules, "torch_xla", raising=False)

    def import_module(name):
        assert name == "torch_xla"
        monkeypatch.setitem(sys.modules, name, module)

    monkeypatch.setattr(devices.importlib, "import_module", import_module)

    assert "xla" not in devices.present()
    assert devices.select(["xla"]) == ("xla",)
    assert devices.present() == ("cpu", "cuda", "mps", "xla", "own")
    assert devices.describe("xla") == "xla (2 x TPU)"
    assert devices.module_of("xla") is module


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("no", name="torch_xla"),
            "it comes with torch_xla, and torch_xla is not installed here; pip install the torch_xla that",
        ),
        (ImportError("undefined symbol"), "torch_xla does not import beside torch 2.15.0: undefined symbol"),
    ],
)
def test_a_library_that_cannot_be_imported(torch, monkeypatch, error, told):
    def import_module(name):
        raise error

    monkeypatch.setattr(devices.importlib, "import_module", import_module)
    torch.__version__ = "2.15.0"

    with pytest.raises(UsageError, match=f"--device xla: {told}"):
        devices.select(["cpu", "xla"])


@pytest.mark.parametrize(("imported", "found"), [(True, "xla"), (False, None)])
def test_torch_is_told_of_a_device_that_comes_with_a_library(torch, monkeypatch, imported, found):
    monkeypatch.delitem(sys.modules, "torch_xla", raising=False)
    if imported:
        monkeypatch.setitem(sys.modules, "torch_xla", SimpleNamespace())
    torch._utils = SimpleNamespace(_get_available_device_type=lambda: None)

    with devices.told_to_torch():
        assert torch._utils._get_available_device_type() == found

    assert torch._utils._get_available_device_type() is None


def test_all_devices_are_meant_or_those_that_are_named(torch):
    assert devices.select(None) == devices.present()
    assert devices.select(["mps", "cpu", "mps"]) == ("mps", "cpu")
    with pytest.raises(UsageError, match="--device xpu: no such device here; this torch finds cpu, cuda"):
        devices.select(["cpu", "xpu"])


def test_a_device_is_described_by_what_the_hardware_is_called(torch):
    described = ["cpu", "cuda (2 x NVIDIA H200)", "mps", "own (3 x Own 1)"]
    assert [devices.describe(name) for name in devices.present()] == described

    torch.cuda.device_count = lambda: 1
    assert devices.describe("cuda") == "cuda (NVIDIA H200)"


@pytest.mark.parametrize(
    ("need", "selected", "reason"),
    [
        (("cuda", 1), ("cpu", "cuda"), ""),
        (("cuda", 2), ("cpu", "cuda"), ""),
        (("cuda", 3), ("cpu", "cuda"), "3 CUDA devices"),
        (("cuda", 1), ("cpu",), "a CUDA device"),
        (("cuda", 2), ("cpu",), "2 CUDA devices"),
        (("distributed", 1), ("cpu",), ""),
        (("compile", 1), ("cpu",), ""),
        (("torchvision", 1), ("cpu",), ""),
    ],
)
def test_what_a_need_lacks(torch, need, selected, reason):
    assert devices.lacking(*need, selected) == reason


def test_without_distributed(torch):
    torch.distributed.is_available = lambda: False

    assert devices.lacking("distributed", 1, ("cpu",)) == "torch.distributed"


@pytest.mark.parametrize("broken", ["missing", "models"])
def test_without_a_torchvision_that_imports(torch, monkeypatch, broken):
    if broken == "missing":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, "torchvision.models", None)

    assert devices.lacking("torchvision", 1, ("cpu",)) == "torchvision that imports"


@pytest.mark.parametrize("message", ["Python 3.14+ not yet supported", "Dynamo is not supported here"])
def test_without_a_python_that_compiles(torch, message):
    def refuse(function, backend):
        raise RuntimeError(message)

    torch.compile = refuse

    assert devices.lacking("compile", 1, ("cpu",)) == "a Python that this torch.compile supports"
    assert torch.resets == []


def test_a_compilation_that_fails_otherwise_is_not_hidden(torch):
    def fail(function, backend):
        raise RuntimeError("no compiler")

    torch.compile = fail

    with pytest.raises(RuntimeError, match="no compiler"):
        devices.lacking("compile", 1, ("cpu",))


def test_what_was_compiled_for_a_try_is_forgotten(torch):
    devices.lacking("compile", 1, ("cpu",))

    assert torch.resets == ["reset"]
