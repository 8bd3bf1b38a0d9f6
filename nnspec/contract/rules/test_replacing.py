"""Calling a module with other tensors.

:func:`torch.func.functional_call` and replicas run a module with tensors in the place of its parameters.
Forward looks each of them up on ``self``, when it needs it.
"""

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import building, calling, copying, names, registration


def test_its_own_state(build, ready, example, unless):
    """:func:`~torch.func.functional_call` with copies of a module's own state gives its own output."""
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.mismasked(build, example))
    net = ready()
    unless(names.misnamed(net, net.named_parameters()))
    net.eval()
    expected = nested.run(net, example)
    state = {name: value.detach().clone() for name, value in tree.tensors(net).items()}
    output = copying.called_with(net, state, example)

    yield copying.differs_when_functional(output, expected)


def test_the_state_of_another(build, ready, other, example, unless):
    """:func:`~torch.func.functional_call` with the state of another build gives the output of that build."""
    unless(not_applicable.unrepeatable(build, example))
    net, another = registration.register(ready()), registration.register(other())
    unless(not_applicable.not_registered(build, example) + names.names_differ(net, another))
    unless(names.misnamed(net, net.named_parameters()))
    net.eval(), another.eval()
    output = copying.called_with(net, tree.tensors(another), example)

    yield copying.stale(output, nested.run(another, example))


def test_a_parametrized_tensor(build):
    """A parametrized tensor that is assigned its own value keeps it.

    Registering assigns too: with a wrong ``right_inverse`` a layer loses the values that it was built with.
    """
    yield copying.other_once_assigned(build())


def test_another_part(ready, example, unless):
    """A module calls what was put in the place of a part.

    ``net.head = nn.Linear(8, 3)`` is a new head; adapters and quantized layers are set likewise.
    """
    net, again = ready(), ready()
    unless(registration.closures(net) + building.equal_modules(net) + names.wrapped(net))
    net.eval(), again.eval()
    found = copying.passed_by(net, example)
    if found:
        unless(calling.refused_in_eval(again, example) + copying.follows_in_a_copy(again, example))

    yield found


def test_a_replica(build, ready, example, unless):
    """A replica, as :class:`~torch.nn.DataParallel` makes them, computes the same as its module.

    A replica has no parameters: ``next(self.parameters())`` in forward finds none.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    unless(building.equal_modules(net) + names.wrapped(net))
    net.eval()

    yield copying.differs_in_a_replica(net, example)
