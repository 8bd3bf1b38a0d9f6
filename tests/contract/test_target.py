"""The module to judge is found, built and called; why it cannot be is said in its author's words."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nnspec.contract import inputs, zoo
from nnspec.contract.target import find_target
from nnspec.errors import UsageError

MODELS = """
import abc

import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3, *, bias=True):
        super().__init__()
        self.inner = nn.Linear(2, width, bias=bias)

    def forward(self, x, mask=None):
        return self.inner(x)

class Strict(Net):
    def forward(self, x):
        raise ValueError("four is too many")

class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.ones(2).view(3)

class Linked(Net):
    def __init__(self):
        super().__init__()
        self.inner.whole = self

class Forgetful(nn.Module):
    def __init__(self):
        self.outer = nn.Linear(2, 2)

class Equal(Net):
    def __eq__(self, other):
        return isinstance(other, Equal)

class Models:
    net = Net

def build():
    return Net(4)

def evaluated():
    return Net().eval()

def takes(width):
    return Net(width)

def nothing():
    pass

class Deterministic(Net):
    def forward(self, x):
        torch.use_deterministic_algorithms(True)
        return super().forward(x)

def on_meta():
    return nn.Linear(2, 3, device="meta")

def gives_up():
    raise SystemExit("no licence")

def named():
    return nn.Embedding(10, 2)

made = Net()
number = 3
KEPT = torch.ones(4, 2)

def tensor():
    return KEPT

def random_pair():
    return (torch.randn(4, 2),), {"mask": None}

def listed():
    return [torch.ones(4, 2), None]

def by_name():
    return {"x": torch.ones(4, 2)}

def a_set():
    return {1, 2}

def no_data():
    raise FileNotFoundError("data.pt is not here")

def computed():
    return torch.ones(4, 2, requires_grad=True) * 2

def never_there():
    while True:
        pass

def leaves_no_data():
    raise GeneratorExit("no data")

class Leaving(BaseException):
    pass

class Leaves(Net):
    def forward(self, x):
        raise Leaving("for good")

class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")

class Speechless(Net):
    def forward(self, x):
        raise Unspeakable

class SpeechlessFromTheStart(Net):
    def __init__(self):
        raise Unspeakable

class Silent(Net):
    def forward(self, x):
        raise ValueError

class Abstract(Net, abc.ABC):
    @abc.abstractmethod
    def loss(self, x):
        pass

class Numbered(Net):
    def __init__(self):
        super().__init__()
        self._modules[3] = self.inner

def deep():
    net = nn.Linear(2, 2)
    for _ in range(1500):
        net = nn.Sequential(net)
    return net

class Endless(Net):
    def named_parameters(self, *args, **kwargs):
        while True:
            yield "same", self.inner.weight

class EndsInItsState(Net):
    def state_dict(self, *args, **kwargs):
        raise SystemExit(0)

def one_by_one():
    yield torch.ones(4, 2)

class Wordy(Net):
    def forward(self, x):
        raise ValueError("x" * 10**6)

class Strays(Net):
    def modules(self):
        return iter([self, None])

class Unwalked(Net):
    def modules(self):
        raise GeneratorExit("not today")

class Unnamed(Net):
    def named_parameters(self, *args, **kwargs):
        return 5

class Uncounted(Net):
    def named_modules(self, *args, **kwargs):
        return 5

class Stateless(Net):
    def state_dict(self, *args, **kwargs):
        return []
"""


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """A folder with ``models.py`` and faulty modules in it, as the current one."""
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "unparsable.py").write_text("x = 1\ndef f(:\n    pass\n")
    (tmp_path / "needy.py").write_text("import torch\nimport absent_package\n")
    (tmp_path / "raising.py").write_text("limit = 1\nlimit / 0\n")
    (tmp_path / "leaving.py").write_text("raise GeneratorExit('at once')\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "needy.py").write_text("import torch\nimport absent_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("models", "unparsable", "needy", "raising", "leaving", "package", "package.needy"):
        sys.modules.pop(name, None)


def refused(name, *shapes, function=None):
    """The message with which a module is refused."""
    with pytest.raises(UsageError) as caught:
        find_target(name, shapes, function)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("models:Net", (3, 2)),
        ("models.Net", (3, 2)),
        ("models:Models.net", (3, 2)),
        ("models:build", (4, 2)),
        ("models:Net(5, bias=False)", (5, 2)),
        ("models:takes(width=6)", (6, 2)),
    ],
)
def test_a_class_or_a_function_perhaps_with_arguments(name, shape):
    net = find_target(name, ["4,2"], None).build()

    assert tuple(net.inner.weight.shape) == shape


def test_every_build_is_fresh_and_equal():
    target = find_target("models:Net", ["4,2"], None)
    first, second = target.build(), target.build()

    assert first is not second
    assert torch.equal(first.inner.weight, second.inner.weight)


def test_a_build_is_in_train_mode():
    net = find_target("models:evaluated", ["4,2"], None).build()

    assert [module.training for module in net.modules()] == [True, True]


def test_what_the_first_call_changes_in_the_process_is_put_back():
    find_target("models:Deterministic", ["4,2"], None)

    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("text", "dtype", "shape", "lowest", "highest"),
    [
        ("40,50", torch.float32, (40, 50), -10, 10),
        ("40,50:float64", torch.float64, (40, 50), -10, 10),
        ("400:int64", torch.int64, (400,), 0, 9),
        ("400:uint8", torch.uint8, (400,), 0, 9),
        ("400:bool", torch.bool, (400,), 0, 1),
    ],
)
def test_an_input_is_drawn_for_its_shape_and_dtype(text, dtype, shape, lowest, highest):
    (drawn,), named = inputs.drawn([text])()

    assert (drawn.dtype, tuple(drawn.shape), named) == (dtype, shape, {})
    assert lowest <= drawn.min() < drawn.max() <= highest
    assert dtype.is_floating_point or (drawn.min(), drawn.max()) == (lowest, highest)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["x=4,2"], "x=float32 (4, 2)"),
        (["4,2", "mask=ones:4,2:bool"], "float32 (4, 2), mask=bool (4, 2)"),
        (["ids=2,16:int64<100", "flag=True"], "ids=int64 (2, 16), flag=a bool"),
        (["2,16<100", "scale=value:0.5", "None"], "int64 (2, 16), None, scale=a float"),
        (["zeros:3", "mode=value:'a'"], "float32 (3,), mode=a str"),
    ],
)
def test_inputs_with_names_and_values(texts, expected):
    assert inputs.in_words(inputs.drawn(texts)()) == expected


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2000:int64<100", 0, 99),
        ("2000<7", 0, 6),
        ("2000:int64:5..8", 5, 7),
        ("2000:int16:-3..3", -3, 2),
        ("ones:4:int64", 1, 1),
        ("zeros:4", 0, 0),
    ],
)
def test_a_range(text, low, high):
    (drawn,), _ = inputs.drawn([text])()

    assert (drawn.min(), drawn.max()) == (low, high)


def test_a_range_of_fractions():
    (drawn,), _ = inputs.drawn(["2000:float64:-1..0.5"])()

    assert -1 <= drawn.min() < -0.99 < 0.49 < drawn.max() < 0.5
    assert drawn.dtype == torch.float64


def test_a_model_of_torchvision_brings_its_inputs():
    target = find_target("torchvision:squeezenet1_1", [], None)

    assert type(target.build()).__name__ == "SqueezeNet"
    assert inputs.in_words(target.example()) == "float32 (2, 3, 64, 64)"
    assert inputs.in_words(find_target("torchvision:squeezenet1_1", ["1,3,70,70"], None).example()) == (
        "float32 (1, 3, 70, 70)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:squeezenet", "torchvision has no model 'squeezenet'; squeezenet1_0, squeezenet1_1"),
        ("torchvision:fasterrcnn_resnet50_fpn", "takes more than one picture; write its inputs"),
        ("timm:resnet26", "timm cannot be imported here: No module named 'timm'; install it"),
    ],
)
def test_a_model_of_a_library_that_cannot_be_had(name, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)

    assert refused(name).startswith(f"{name}: {message.partition(':')[0]}")


def test_whole_numbers_fit_an_embedding():
    assert isinstance(find_target("models:named", ["2,128:int64"], None).build(), nn.Embedding)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("models:tensor", "float32 (4, 2)"),
        ("models.random_pair", "float32 (4, 2), mask=None"),
        ("models:listed", "float32 (4, 2), None"),
        ("models:by_name", "x=float32 (4, 2)"),
    ],
)
def test_a_callable_returns_the_inputs(name, expected):
    assert inputs.in_words(find_target("models:Net", [], name).example()) == expected


@pytest.mark.parametrize(
    ("shapes", "function"), [(["4,2"], None), ([], "models:tensor"), ([], "models:random_pair")]
)
def test_examples_are_equal_and_unshared(shapes, function):
    target = find_target("models:Net", shapes, function)
    ((first, *_), _), ((second, *_), _) = target.example(), target.example()

    assert torch.equal(first, second)
    assert first.data_ptr() != second.data_ptr()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modells:Net", "there is no module 'modells'; it was looked for in {here} and among the installed"),
        ("modells.deep.Net", "there is no module 'modells'; it was looked for in {here}"),
        ("models.deep:Net", "there is no module 'models.deep'; it was looked for in {here}"),
        ("package.needy.f", "raised when imported: ModuleNotFoundError: No module named 'absent_package'"),
        ("package.Nett", "package has no 'Nett'"),
        ("models:Nett", "models has no 'Nett'; did you mean Net?"),
        ("models.Nett", "models has no 'Nett'; did you mean Net?"),
        ("models", "is a Python module; name what is in it, as in package.module:name"),
        ("models:", "is a Python module; name what is in it, as in package.module:name"),
        ("models:Net:Net", "is no name of the form package.module:name"),
        ("models.py:Net", "is a file; name its module as Python imports it from the current folder"),
        ("models:Net(width)", "its arguments cannot be read as literals"),
        ("models:Net({[]: 1})", "its arguments cannot be read as literals"),
        ("models:Net(3)+1", "its arguments cannot be read as literals"),
        ("models:Net(3", "its arguments cannot be read as literals"),
        ("models:Net(**{'width': 3})", "its arguments cannot be read as literals"),
        ("models:number", "is an int; name a module's class, or a function that returns a module"),
        ("models:made", "is a module already made, and the contract needs a fresh one again and again"),
        ("models:nothing", "returns None, not a torch.nn.Module; name a module's class, or a function"),
        ("models:on_meta", "is built on the meta device, without values; build it on the CPU"),
    ],
)
def test_a_name_that_leads_to_no_module(name, message, tmp_path):
    refusal = refused(name, "4,2")

    assert refusal.startswith(f"{name}: ")
    assert message.format(here=tmp_path) in refusal


def place(line, within="", file="models.py"):
    """Where a line of the user's code stands, as a message says it."""
    number = 1 + [text.strip() for text in Path(file).read_text().splitlines()].index(line)
    return f"  {file}:{number}{within and f', in {within}'}: {line}"


@pytest.mark.parametrize(
    ("name", "reason", "line"),
    [
        (
            "unparsable:f",
            "raised when imported: SyntaxError: invalid syntax (unparsable.py, line 2)",
            ("def f(:", "", "unparsable.py"),
        ),
        (
            "needy:f",
            "raised when imported: ModuleNotFoundError: No module named 'absent_package'",
            ("import absent_package", "<module>", "needy.py"),
        ),
        (
            "raising.f",
            "raised when imported: ZeroDivisionError: division by zero",
            ("limit / 0", "<module>", "raising.py"),
        ),
        (
            "leaving:f",
            "raised when imported: GeneratorExit: at once",
            ("raise GeneratorExit('at once')", "<module>", "leaving.py"),
        ),
        (
            "models:Leaves",
            "raised when called, in train mode, on float32 (4, 2): Leaving: for good",
            ('raise Leaving("for good")', "forward"),
        ),
        (
            "models:Speechless",
            "raised when called, in train mode, on float32 (4, 2): Unspeakable: its text cannot be shown",
            ("raise Unspeakable", "forward"),
        ),
        (
            "models:Wordy",
            f"raised when called, in train mode, on float32 (4, 2): ValueError: {'x' * 3000}...",
            ('raise ValueError("x" * 10**6)', "forward"),
        ),
        (
            "models:gives_up",
            "raised when built: SystemExit: no licence",
            ('raise SystemExit("no licence")', "gives_up"),
        ),
        (
            "models:Strict",
            "raised when called, in train mode, on float32 (4, 2): ValueError: four is too many",
            ('raise ValueError("four is too many")', "forward"),
        ),
        (
            "models:Flat",
            "raised when built: RuntimeError: shape '[3]' is invalid for input of size 2",
            ("self.inner = torch.ones(2).view(3)", "__init__"),
        ),
    ],
)
def test_the_users_own_error_and_the_last_line_of_their_own_code(name, reason, line):
    assert refused(name, "4,2") == f"{name}: {reason}\n{place(*line)}"


def test_a_missing_argument_is_asked_for():
    assert refused("models:takes", "4,2") == (
        "models:takes: raised when built: TypeError: takes() missing 1 required positional "
        "argument: 'width'\n  give its arguments, as in 'package.module:Net(10, bias=False)', or name a "
        "function that builds it"
    )


def test_a_forgotten_init_is_named():
    assert refused("models:Forgetful", "4,2") == (
        "models:Forgetful: raised when built: AttributeError: cannot assign module before Module.__init__() "
        "call\n"
        f"{place('self.outer = nn.Linear(2, 2)', '__init__')}\n"
        "  call super().__init__() first of all in __init__"
    )


def test_a_part_that_holds_the_whole_is_no_riddle():
    message = refused("models:Linked", "4,2")

    assert message.startswith("models:Linked: raised when built: RecursionError: ")
    assert message.endswith("give the part what it needs when it is called, or keep the whole in a tuple")


def test_parts_nested_too_deeply_are_no_riddle():
    assert "or too deeply" in refused("models:deep", "4,2")


def test_a_part_without_a_name_is_no_riddle():
    message = refused("models:Numbered", "4,2")

    assert message.startswith("models:Numbered: raised when built: TypeError: can only concatenate str")
    assert message.endswith("is no text; name every part by a text")


def test_an_abstract_class_is_not_asked_for_arguments():
    message = refused("models:Abstract", "4,2")

    assert message.startswith("models:Abstract: raised when built: TypeError: Can't instantiate")
    assert message.endswith("it cannot be built itself; name a class that has all these methods")


def test_an_error_without_words_while_building():
    assert refused("models:SpeechlessFromTheStart", "4,2").startswith(
        "models:SpeechlessFromTheStart: raised when built: Unspeakable: its text cannot be shown\n  models.py"
    )


def test_an_error_with_an_empty_text():
    assert "on float32 (4, 2): ValueError: without a text\n" in refused("models:Silent", "4,2")


def test_a_walk_without_an_end_is_ended():
    with pytest.raises(UsageError, match=r"did not end within 0\.3 seconds"):
        find_target("models:Endless", ["4,2"], None, limit=0.3)


def test_a_state_that_cannot_be_had_is_for_the_rules():
    assert find_target("models:EndsInItsState", ["4,2"], None).name == "models:EndsInItsState"


def test_an_eq_without_a_hash_is_no_riddle():
    message = refused("models:Equal", "4,2")

    assert message.startswith("models:Equal: raised when built: TypeError: ")
    assert "unhashable type: 'Equal'" in message
    assert message.endswith("write __hash__ = torch.nn.Module.__hash__ in it")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models:Strays", "its modules() gives None; a Module was wanted"),
        ("models:Unwalked", "its modules() raises: GeneratorExit: not today"),
        ("models:Unnamed", "its parameters() raises: TypeError: 'int' object is not iterable"),
        (
            "models:Uncounted",
            "raised when built: TypeError: 'int' object is not iterable\n  torch walks all parts",
        ),
        ("models:Stateless", "its state_dict() gives a list; a dict was wanted"),
    ],
)
def test_a_module_that_does_not_walk_what_it_holds(name, message):
    assert refused(name, "4,2").startswith(f"{name}: {message}")


def test_a_long_name_is_shown_in_part():
    assert len(refused(f"{'a' * 5000}:Net", "4,2")) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "2x3",
            "--input 2x3: is no shape; write sizes from 1 on with commas, and perhaps a dtype",
        ),
        ("2,-3", "--input 2,-3: is no shape"),
        ("2,0", "--input 2,0: is no shape"),
        ("", "--input : is no shape"),
        ("2,3:", "--input 2,3:: is no shape"),
        ("2,3<0", "--input 2,3<0: is no range for torch.int64"),
        ("2,3:float32<5", "--input 2,3:float32<5: is no range for torch.float32"),
        ("2,3:int64:5..5", "--input 2,3:int64:5..5: is no range for torch.int64"),
        ("x=2y", "--input x=2y: is no shape"),
        ("x=value:y", "--input x=value:y: 'y' is no literal"),
        ("2,3:int8<1000", "--input 2,3:int8<1000: torch.int8 holds numbers from -128 to 127; give a range"),
        ("2,3:uint8:-1..5", "--input 2,3:uint8:-1..5: torch.uint8 holds numbers from 0 to 255"),
        ("2,3:uint4<1000", "--input 2,3:uint4<1000: torch cannot make it: "),
        ("2,3:in64", "--input 2,3:in64: torch has no dtype 'in64'; such as float32, int64 or bool"),
        ("2,3:nn", "--input 2,3:nn: torch has no dtype 'nn'"),
        ("ones:2,3:int64<5", "--input ones:2,3:int64<5: ones have no range; leave out the one or the other"),
        ("x=value:{[]: 1}", "--input x=value:{[]: 1}: '{[]: 1}' is no literal"),
        (f"x=value:{'-' * 9000}1", "--input x=value:----"),
        ("9" * 5000, "--input 9999"),
        (f"2,3<{'9' * 30}", "--input 2,3<9999"),
        (f"2,{'9' * 15}", f"--input 2,{'9' * 15}: torch cannot make it: RuntimeError: "),
        ("2,3:qint8", "--input 2,3:qint8: torch cannot make it: RuntimeError: "),
    ],
)
def test_a_malformed_input(text, message):
    told = refused("models:Net", text)

    assert told.startswith(message)
    assert len(told) < 1000


def test_an_input_that_is_named_twice():
    assert refused("models:Net", "x=2,2", "x=3,2").startswith("--input x=3,2: x was given before; give each")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models:number", "--inputs models:number: is an int; name a function that takes nothing"),
        ("models:absent", "--inputs models:absent: models has no 'absent'"),
        ("models:a_set", "--inputs models:a_set: returned a set; expected a tensor, a tuple or list"),
        (
            "models:no_data",
            "--inputs models:no_data: raised: FileNotFoundError: data.pt is not here\n  models.py:",
        ),
        ("models:takes", "--inputs models:takes: raised: TypeError: takes() missing 1 required"),
        (
            "models:leaves_no_data",
            "--inputs models:leaves_no_data: raised: GeneratorExit: no data\n  models.py:",
        ),
        (
            "models:computed",
            "--inputs models:computed: what it returned cannot be copied, and each rule takes a copy: "
            "RuntimeError: Only Tensors created explicitly",
        ),
        ("models:one_by_one", "--inputs models:one_by_one: returned a generator; expected a tensor"),
    ],
)
def test_inputs_that_cannot_be_had(name, message):
    assert refused("models:Net", function=name).startswith(message)


def test_inputs_that_are_never_there_are_not_waited_for():
    with pytest.raises(UsageError, match=r"^models:Net: its inputs were not made within 0\.2 seconds$"):
        find_target("models:Net", [], "models:never_there", limit=0.2)


def test_inputs_are_asked_for_once_and_only_once():
    assert "no input was given; say what it is called with: --input 2,3,64,64" in refused("models:Net")
    assert "--input and --inputs were both given" in refused("models:Net", "4,2", function="models:tensor")


class ComputesItsLayerTypes:
    """A configuration as transformers has them for Mamba."""

    def __init__(self):
        self.num_hidden_layers = 12

    @property
    def layer_types(self):
        return ["mamba"] * self.num_hidden_layers


def test_a_configuration_that_computes_its_layer_types_is_shrunk():
    config = ComputesItsLayerTypes()
    zoo._shrink(config)

    assert config.layer_types == ["mamba", "mamba"]


def test_stages_are_not_shrunk():
    config = SimpleNamespace(depths=[3, 3], num_hidden_layers=2, hidden_size=96, image_size=224, patch_size=4)
    zoo._shrink(config)

    assert (config.hidden_size, config.image_size, config.patch_size) == (96, 64, 4)


def test_a_model_that_takes_pixels_is_given_pictures():
    config = SimpleNamespace(vocab_size=99, image_size=32)
    args, kwargs = zoo._inputs_for(config, "pixel_values", "hf:BeitConfig")()

    assert (args, {name: tuple(value.shape) for name, value in kwargs.items()}) == (
        (),
        {"pixel_values": (2, 3, 32, 32)},
    )


class ComputesItsWidths(SimpleNamespace):
    """A configuration as transformers has one for Falcon."""

    @property
    def head_dim(self):
        return self.hidden_size // self.num_attention_heads


def test_a_setting_that_follows_from_others_is_not_set():
    config = ComputesItsWidths(hidden_size=4544, num_attention_heads=71)
    zoo._shrink(config)

    assert (config.hidden_size, config.num_attention_heads, config.head_dim) == (32, 4, 8)


def test_stages_with_windows_keep_their_pictures():
    config = SimpleNamespace(depths=[2, 2], window_size=7, image_size=224)
    zoo._shrink(config)

    assert config.image_size == 224


def test_heads_of_a_low_rank_share_no_keys():
    config = SimpleNamespace(num_attention_heads=128, num_key_value_heads=128, kv_lora_rank=512)
    zoo._shrink(config)

    assert (config.num_attention_heads, config.num_key_value_heads, config.kv_lora_rank) == (4, 4, 16)


def test_a_model_that_hears_is_given_a_wave():
    config = SimpleNamespace(vocab_size=32, conv_stride=[5, 2], conv_dim=[512, 512])
    zoo._shrink(config)
    args, kwargs = zoo._inputs_for(config, "input_values", "hf:Wav2Vec2Config")()

    assert config.conv_dim == [32, 32]
    assert (args, {name: tuple(value.shape) for name, value in kwargs.items()}) == (
        (),
        {"input_values": (2, 4800)},
    )


def test_a_model_that_reads_and_sees_is_shrunk_in_both_and_given_both():
    text = SimpleNamespace(model_type="text", vocab_size=49408, hidden_size=512, max_position_embeddings=77)
    vision = SimpleNamespace(model_type="vision", hidden_size=768, image_size=224, patch_size=32)
    config = SimpleNamespace(text_config=text, vision_config=vision)
    zoo._shrink(config)
    args, kwargs = zoo._inputs_for(config, "input_ids", "hf:CLIPConfig")()

    assert (text.hidden_size, vision.hidden_size) == (32, 32)
    assert (args, {name: tuple(value.shape) for name, value in kwargs.items()}) == (
        (),
        {"input_ids": (2, 16), "pixel_values": (2, 3, 32, 32)},
    )


def test_a_model_that_halves_a_spectrogram_is_given_one_of_its_length():
    config = SimpleNamespace(vocab_size=51865, num_mel_bins=80, max_source_positions=1500)
    zoo._shrink(config)
    args, kwargs = zoo._inputs_for(config, "input_features", "hf:WhisperConfig")()

    assert config.max_source_positions == 24
    assert (args, {name: tuple(kwargs[name].shape) for name in ("input_features", "decoder_input_ids")}) == (
        (),
        {"input_features": (2, 80, 48), "decoder_input_ids": (2, 12)},
    )


def test_a_model_that_takes_something_else_says_what_once_it_is_asked():
    make_inputs = zoo._inputs_for(SimpleNamespace(vocab_size=99), "input_features", "hf:ClapConfig")

    with pytest.raises(UsageError, match="as in --input input_features=SHAPE"):
        make_inputs()


class SizesOfBlocks(SimpleNamespace):
    """A configuration whose depth cannot be set."""

    @property
    def num_hidden_layers(self):
        return 12

    @num_hidden_layers.setter
    def num_hidden_layers(self, value):
        raise NotImplementedError("set block_sizes")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("SizesConfig", "hf:SizesConfig: shrunk, it cannot be built: NotImplementedError: set block_sizes"),
        ("Sizes", "hf:Sizes: is no configuration; write hf:SizesConfig, or a file"),
        ("SizesModel", "hf:SizesModel: is no configuration; write hf:SizesConfig, or a file"),
        ("bert-base-uncased", "hf:bert-base-uncased: is no configuration; write hf:BertConfig, or a file"),
    ],
)
def test_a_configuration_that_is_not_there_or_cannot_be_shrunk(rest, message):
    with pytest.raises(UsageError) as refused:
        zoo._of_transformers(SimpleNamespace(SizesConfig=SizesOfBlocks), rest, f"hf:{rest}")

    assert str(refused.value).startswith(message)


def test_the_backbone_of_a_model_is_not_downloaded_either(monkeypatch):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", None)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", None)

    assert find_target("torchvision:fcn_resnet50", ["2,3,64,64"], None).name == "torchvision:fcn_resnet50"
