"""State that a module holds past nn.Module: in containers, closures, objects and plain attributes.

Such state is not walked: it is not moved, not saved, not trained, and no mode reaches it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nnspec.contract.nested import Example
from nnspec.contract.tree import buffers, dotted
from nnspec.contract.wording import count, listed
from nnspec.running import isolation

#: What torch itself keeps on every module.
OF_TORCH = (
    frozenset(vars(nn.Module()))
    | {"_is_replica", "_former_parameters", "_compiled_call_impl"}
    | {
        *("_flat_weights", "_flat_weight_refs"),
    }
)

#: Functions that take the values of a tensor out of torch.
_READING = frozenset(
    {"item", "tolist", "numpy", "__array__", "__float__", "__int__", "__bool__", "__index__"}
)

#: How far into attributes and elements a plain attribute is followed.
DEEPEST = 4

Kind = Callable[[object], bool]

_STANDARD = frozenset(sys.stdlib_module_names) | {"torch", "torchvision", "numpy"}


#: An attribute with the path of its module, its value, and the modules and tensors in that value.
Held = tuple[str, object, list[nn.Module | Tensor]]


def modules_in_containers(net: nn.Module) -> list[str]:
    """Lists, tuples, sets and dicts with modules that are registered nowhere."""
    sentences = []
    for attribute, holder, entries in _unregistered(net, _is_container):
        modules = [entry for entry in entries if isinstance(entry, nn.Module)]
        if not modules:
            continue
        better = "nn.ModuleDict" if isinstance(holder, Mapping) else "nn.ModuleList"
        sentences.append(
            f"`{attribute}` is a plain {type(holder).__name__} with {count(len(modules), 'module')} in it: "
            f"{_unreached(modules)}; use {better}"
        )
    return sentences


def tensors_in_containers(net: nn.Module, example: Example) -> list[str]:
    """Containers with parameters, or with tensors that forward uses, that are registered nowhere."""
    sentences = []
    for attribute, holder, entries in _needed(net, example, _is_container):
        tensors = [entry for entry in entries if isinstance(entry, Tensor)]
        parameters = [tensor for tensor in tensors if _is_trained(tensor)]
        plain = [tensor for tensor in tensors if not _is_trained(tensor)]
        kind = type(holder).__name__
        if parameters:
            better = "nn.ParameterDict" if isinstance(holder, Mapping) else "nn.ParameterList"
            sentences.append(
                f"`{attribute}` is a plain {kind} with {count(len(parameters), 'parameter')} in it: no "
                f"optimizer, no .to() and no state_dict() reaches what is not registered; use {better}"
            )
        if plain:
            cure = _STATE if _is_replaced(net, attribute, holder) else "register each with register_buffer"
            sentences.append(
                f"`{attribute}` is a plain {kind} with {count(len(plain), 'tensor')} in it that forward "
                f"uses: .to() and state_dict() leave out what is not registered; {cure}"
            )
    return sentences


def plain_attributes(
    net: nn.Module, example: Example, other: Callable[[], nn.Module] | None = None
) -> list[str]:
    """Attributes that are a module, a parameter, or a tensor that forward uses, and are not registered.

    Args:
        net: the module.
        example: makes its inputs.
        other: builds it from another seed, which tells what is drawn at random.
    """
    sentences = []
    for attribute, value, _ in _needed(net, example, _is_torch):
        name = attribute.rpartition(".")[2]
        if isinstance(value, nn.Module):
            sentences.append(
                f"`{attribute}` is a module put past nn.Module's registration: {_unreached([value])}; "
                f"assign it in __init__ with self.{name} = ..."
            )
        elif _is_trained(value):
            sentences.append(
                f"`{attribute}` is a tensor that requires a gradient, and is no registered parameter: no "
                f"optimizer sees it and .to() does not move it; use self.{name} = nn.Parameter(...)"
            )
        else:
            is_replaced = _is_replaced(net, attribute, value)
            cure = _STATE if is_replaced else f'use self.register_buffer("{name}", ...)'
            if other and not is_replaced and _is_drawn(other(), attribute, value):
                cure += f", or self.{name} = nn.Parameter(...) if what is drawn at random is to learn"
            sentences.append(
                f"`{attribute}` is a plain tensor that forward uses: .to() does not move it and state_dict() "
                f"leaves it out; {cure}"
            )
    return sentences + computed_from_unregistered(net) + _on_classes(net)


def modules_out_of_reach(net: nn.Module) -> list[str]:
    """Modules that eval() does not reach, in containers or on classes: they go on in train mode."""
    return modules_in_containers(net) + [one for one in _on_classes(net) if "is a module on" in one]


_STATE = (
    "each call puts another there, so take it as an argument and return it, and begin with x.new_zeros(...) "
    "where none is given"
)


def _is_drawn(other: nn.Module, attribute: str, value: object) -> bool:
    """Whether a tensor has other numbers in another build."""
    try:
        its_own = functools.reduce(getattr, attribute.split("."), other)
    except AttributeError:
        return False
    if not isinstance(value, Tensor) or not isinstance(its_own, Tensor) or not value.is_floating_point():
        return False
    if any(one.layout != torch.strided or one.is_nested or one.is_meta for one in (value, its_own)):
        return False
    if type(value) is not Tensor or type(its_own) is not Tensor:
        return False  # a class of one's own may not know torch.equal
    return value.shape == its_own.shape and not torch.equal(value, its_own)


def _is_replaced(net: nn.Module, attribute: str, value: object) -> bool:
    """Whether an attribute is not what it was before the call that has shown what forward uses."""
    path, _, name = attribute.rpartition(".")
    return getattr(net.get_submodule(path), name, value) is not value


def computed_from_unregistered(net: nn.Module) -> list[str]:
    """Attributes that are computed from a parameter which nothing else holds."""
    known = _registered(net)
    return [
        f"`{attribute}` is computed from a parameter that is registered nowhere: nn.Parameter(...).to(...), "
        "or times a number, is a plain tensor, and no optimizer sees what it was made of; assign the "
        "nn.Parameter itself, as the last thing that is done"
        for attribute, value, _ in _held(net, lambda value: isinstance(value, Tensor) and not value.is_leaf)
        if isinstance(value, Tensor) and not known & {id(leaf) for leaf in _leaves(value)}
    ]


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """The tensors to be trained that a tensor is computed from."""
    waiting, seen = [tensor.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(leaf := getattr(node, "variable", None), Tensor):
            yield leaf
        waiting += [above for above, _ in node.next_functions]


def _on_classes(net: nn.Module) -> list[str]:
    """Tensors and modules that are attributes of a class: all of its instances share them."""
    sentences = []
    for path, module in net.named_modules():
        for owner in type(module).__mro__:
            if is_standard(owner):
                continue
            for name, value in vars(owner).items():
                if isinstance(value, (Tensor, nn.Module)):
                    kind = "tensor" if isinstance(value, Tensor) else "module"
                    sentences.append(
                        f"`{dotted(path, name)}` is a {kind} on the class {owner.__name__}: every instance "
                        "shares it, and neither .to() nor state_dict() reaches it; make it in __init__, on "
                        "self"
                    )
    return sentences


def objects(net: nn.Module, example: Example) -> list[str]:
    """Objects of other classes with modules, parameters, or tensors that forward uses, registered nowhere."""
    sentences = []
    for attribute, holder, entries in _needed(net, example, _is_object):
        kind = type(holder).__name__
        sentences.append(
            f"`{attribute}` is a {kind}, no module, and holds {_in_words(entries)}: nn.Module does not look "
            f"into it, so .to(), state_dict() and optimizers leave them out; make {kind} an nn.Module"
        )
    return sentences


def trained_buffers(net: nn.Module) -> list[str]:
    """Buffers that require a gradient."""
    return [
        f"`{name}` is a buffer that requires a gradient: parameters() leaves it out, and no optimizer "
        "moves it; make it an nn.Parameter"
        for name, buffer in buffers(net).items()
        if _is_trained(buffer)
    ]


def closures(net: nn.Module) -> list[str]:
    """Functions kept as attributes that hold modules or tensors, their own ones or those of the module."""
    sentences, known = [], _registered(net)
    held = list(_held(net, _is_function))
    bound = {attribute for attribute, holder, _ in held if not _copies_along(holder)}
    bound -= _made_anew(net) if bound else set()
    for attribute, holder, entries in held:
        own = [entry for entry in entries if id(entry) not in known]
        again = [entry for entry in entries if id(entry) in known and attribute in bound]
        kind = _kind_of_function(holder)
        if own:
            sentences.append(
                f"`{attribute}` is {kind} that holds {_in_words(own)}: what a function holds is not "
                "registered, so .to(), state_dict() and optimizers leave it out; assign it to self and "
                "write a method"
            )
        elif again:
            is_itself = any(entry is net for entry in again)
            what = "the module itself" if is_itself else f"{_in_words(again)} of the module"
            sentences.append(
                f"`{attribute}` is {kind} that holds {what}: copies of the module would go on computing with "
                "the original's weights; write a method"
            )
    return sentences + _hooks(net, known)


def _made_anew(net: nn.Module) -> set[str]:
    """Functions kept as attributes that a deep copy has of its own: ``__setstate__`` may make them again."""
    try:
        copied = copy.deepcopy(net)
    except Exception:
        return set()
    known = _registered(net)
    return {
        attribute
        for attribute, _, entries in _held(copied, _is_function)
        if not any(id(entry) in known for entry in entries)
    }


def holding_functions(net: nn.Module) -> list[str]:
    """Functions kept as attributes that hold parts of the module, and so in a replica hold the original's."""
    known = _registered(net)
    return [
        attribute
        for attribute, _, entries in _held(net, _is_function)
        if any(id(entry) in known for entry in entries)
    ]


def _hooks(net: nn.Module, known: set[int]) -> list[str]:
    """Hooks that hold modules, tensors or containers: their copies would go on with the original's."""
    sentences, of = [], contained
    containers = {
        dotted(path, name): value
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if name not in OF_TORCH and isinstance(value, (list, dict, set))
    }
    for path, module in net.named_modules():
        for store in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks"):
            for hook in vars(module).get(store, {}).values():
                held = list(reached(hook, DEEPEST, set())) if isinstance(hook, types.FunctionType) else []
                shared = [name for name, value in containers.items() if any(value is one for one in of(hook))]
                if shared:
                    sentences.append(
                        f"`{dotted(path, store)}` has a hook that holds {listed(shared)} of the module: in a "
                        "deep copy the hook goes on filling that of the original; let forward call the part "
                        "and use what it returns"
                    )
                elif any(id(entry) in known for entry in held):
                    sentences.append(
                        f"`{dotted(path, store)}` has a hook that holds {_in_words(held)} of the module: in "
                        "a copy the hook works on the original; let it take the module from its arguments"
                    )
    return sentences


def hooks_with_containers(net: nn.Module) -> list[str]:
    """Hooks that fill a container of the module, and in a deep copy go on filling that of the original."""
    return [one for one in _hooks(net, _registered(net)) if "goes on filling" in one]


def contained(function: object) -> list[object]:
    """The lists, dicts and sets that a function refers to, and that a deep copy does not copy with it."""
    if not isinstance(function, types.FunctionType):
        return []
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    return [
        value for value in (*cells, *(function.__defaults__ or ())) if isinstance(value, (list, dict, set))
    ]


def hidden(net: nn.Module, example: Example) -> list[str]:
    """Everything of this module that its registers do not know, in one list."""
    return [
        *modules_in_containers(net),
        *tensors_in_containers(net, example),
        *plain_attributes(net, example),
        *objects(net, example),
        *closures(net),
    ]


def register(net: nn.Module) -> nn.Module:
    """Do what the findings advise, as far as it is sure: then the other rules can be judged all the same."""
    for attribute, value, _ in [*_unregistered(net, _is_torch), *_unregistered(net, _is_container)]:
        path, _, name = attribute.rpartition(".")
        holder = net.get_submodule(path)
        if isinstance(value, Tensor) and not value.requires_grad:
            delattr(holder, name)
            holder.register_buffer(name, value, persistent=True)
        elif isinstance(value, list) and all(isinstance(entry, nn.Module) for entry in value):
            delattr(holder, name)
            holder.add_module(name, nn.ModuleList(value))
    return net


class Uses(TorchFunctionMode):
    """Notes every tensor that a torch function computes with: to ask for its dtype is no use of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, (Tensor, list, tuple)) or getattr(func, "__name__", "") in _READING:
            for value in (*args, *(kwargs or {}).values()):
                if isinstance(value, Tensor):
                    self.seen[id(value)] = value
                elif isinstance(value, (list, tuple)):
                    self.seen.update((id(one), one) for one in value if isinstance(one, Tensor))
        return result


def _needed(net: nn.Module, example: Example, kind: Kind) -> Iterator[Held]:
    """Attributes of a kind with unregistered modules, parameters, and tensors that forward uses."""
    unregistered, uses = list(_unregistered(net, kind)), Uses()
    if unregistered:
        moved = _moved_all_the_same(net, kind)
        unregistered = [held for held in unregistered if held[0] not in moved]
    if not all(_is_state(entry) for _, _, entries in unregistered for entry in entries):
        args, kwargs = example()
        isolation.seed()
        with uses:
            net(*args, **kwargs)
    for attribute, holder, entries in unregistered:
        needed = [entry for entry in entries if _is_state(entry) or id(entry) in uses.seen]
        if needed:
            yield attribute, holder, needed


def _moved_all_the_same(net: nn.Module, kind: Kind) -> set[str]:
    """Attributes of a kind whose tensors are on meta after a move: an ``_apply`` of its own takes them along.

    So it is for an object that a class moves itself, such as the states of a metric.
    """
    try:
        copied = copy.deepcopy(net)
        copied.to("meta")
    except Exception:
        return set()
    return {
        attribute
        for attribute, _, entries in _unregistered(copied, kind)
        if all(isinstance(entry, Tensor) and entry.is_meta for entry in entries)
    }


def _is_state(value: object) -> bool:
    return isinstance(value, nn.Module) or _is_trained(value)


def _unregistered(net: nn.Module, kind: Kind) -> Iterator[Held]:
    """Attributes of a kind with what they hold and the module tree does not."""
    known = _registered(net)
    for attribute, holder, entries in _held(net, kind):
        unregistered = [entry for entry in entries if id(entry) not in known]
        if unregistered:
            yield attribute, holder, unregistered


def _held(net: nn.Module, kind: Kind) -> Iterator[Held]:
    """Plain attributes of all submodules whose value is of a kind, with what they hold."""
    for path, module in net.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for name, value in {**_in_slots(module), **vars(module)}.items():
                if name not in OF_TORCH and kind(value):
                    yield dotted(path, name), value, list(reached(value, DEEPEST, set()))


def _in_slots(module: nn.Module) -> dict[str, object]:
    """What a module keeps in slots of its class."""
    kept = {}
    for owner in type(module).__mro__:
        for name, slot in vars(owner).items() if "__slots__" in vars(owner) else ():
            if isinstance(slot, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # nothing was put there
                    kept[name] = slot.__get__(module)
    return kept


def _registered(net: nn.Module) -> set[int]:
    """The identities of all that the module tree holds."""
    stores = [store for m in net.modules() for store in (m._parameters, m._buffers, m._modules)]
    return {id(net)} | {id(entry) for store in stores for entry in store.values()}


def reached(value: object, depth: int, seen: set[int]) -> Iterator[nn.Module | Tensor]:
    """The modules and tensors that a value leads to; what a module holds is its own matter."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (nn.Module, Tensor)):
        yield value
    elif depth > 0:
        for inner in _inside(value):
            yield from reached(inner, depth - 1, seen)


def _inside(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    for kind in (list, tuple, set, frozenset, deque):
        if isinstance(value, kind):
            return [*kind.__iter__(value)]  # type: ignore[arg-type]  # a class may have a len() of its own
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, types.MethodType):
        return [value.__self__]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    return list(vars(value).values()) if _is_object(value) else []


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_container(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, deque, Mapping))


def _is_function(value: object) -> bool:
    return isinstance(value, (types.FunctionType, types.MethodType, functools.partial))


def _is_torch(value: object) -> bool:
    """A module, or a tensor that was not computed from others: what was is made anew in each call."""
    return isinstance(value, nn.Module) or (isinstance(value, Tensor) and value.is_leaf)


def _is_object(value: object) -> bool:
    """An instance of a class that is neither Python's nor torch's own."""
    if (
        isinstance(value, (type, types.ModuleType, nn.Module, Tensor))
        or _is_container(value)
        or _is_function(value)
    ):
        return False
    return hasattr(value, "__dict__") and not is_standard(type(value))


def is_standard(owner: type) -> bool:
    """Whether a class is Python's, torch's or numpy's own."""
    return owner is types.SimpleNamespace or str(owner.__module__).partition(".")[0] in _STANDARD


def _is_trained(value: object) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def _copies_along(holder: object) -> bool:
    """Whether a deep copy of a function refers to the copy of what it holds: methods and partials do."""
    if isinstance(holder, functools.partial):
        return all(_copies_along(inner) for inner in (holder.func, *holder.args, *holder.keywords.values()))
    return not isinstance(holder, types.FunctionType) or not list(reached(holder, DEEPEST, set()))


def _kind_of_function(holder: object) -> str:
    if isinstance(holder, functools.partial):
        return "a functools.partial"
    if isinstance(holder, types.MethodType):
        return "a method of another object"
    return "a lambda" if getattr(holder, "__name__", "") == "<lambda>" else "a function"


def _in_words(entries: list[nn.Module | Tensor]) -> str:
    modules = sum(isinstance(entry, nn.Module) for entry in entries)
    counts = {"module": modules, "tensor": len(entries) - modules}
    return " and ".join(count(number, name) for name, number in counts.items() if number)


def _unreached(modules: list[nn.Module]) -> str:
    parameters = {id(parameter) for module in modules for parameter in module.parameters()}
    theirs = "their" if len(modules) > 1 else "its"
    if not parameters:
        return "train(), eval(), hooks and .to() do not reach what is not registered"
    verb = "is" if len(parameters) == 1 else "are"
    return f"{theirs} {count(len(parameters), 'parameter')} {verb} not registered"
