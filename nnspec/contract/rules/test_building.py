"""A module is built whole.

A constructor calls ``super().__init__()``, makes what the module needs, and leaves the choice of the device
to who builds it.
"""


def test_every_module_is_initialised(build, findings):
    """Every module in a tree has run ``nn.Module.__init__``."""
    net = build()

    assert findings.uninitialised(net) == []


def test_printing(build, findings):
    """``repr`` prints a module with the name of every child."""
    net = build()

    assert findings.unprinted(net) == []


def test_building_on_meta(build, unless, findings):
    """Built under ``torch.device("meta")``, a module has every parameter and buffer on meta.

    This is how large models are built before their weights are loaded. A device written into the constructor
    and values read with ``.item()`` stand in the way.
    """
    unless(findings.sharing(build))

    assert findings.not_built_on_meta(build) == []


def test_building_leaves_the_process(build, findings):
    """Building a module changes no default dtype, grad mode or seed of the process."""
    before = findings.settings()
    build()

    assert findings.changed_settings(before, "its constructor") == []
