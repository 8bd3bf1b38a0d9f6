"""What every well-behaved module keeps to, whatever it computes.

The specification says what torch does with a module; the contract says what a module owes to torch, so that
training, saving, moving and copying it go as its users expect. Its rules can be pointed at any module.

Each rule yields what it finds, and holds if every list is empty. ``build()`` gives a fresh module, perhaps a
copy of one that was built before, and ``example()`` its inputs, ``(args, kwargs)``; ``rebuild()`` builds in
any case, and ``construct()`` is the same for rules that say nothing of a module which is already made.
``ready()`` is a fresh module too, whose lazy layers have their shapes, and ``other()`` one of other values;
``elsewhere()`` tells what another process saw that built such a module meanwhile.
The functions of ``nnspec.contract.findings`` look at modules and return sentences, each with the attribute,
the cause and the cure. ``unless(obstacles)`` ends a rule that says nothing of a module because of something
in it.

Read *registration* first: most faults begin with state that nn.Module does not know of. Then *names* and
*building*; *calling*, *modes* and *rows* are about forward, *gradients* about backward; *state*, *loading*,
*copying*, *moving* and *replacing* are about where a module's state goes.
"""
