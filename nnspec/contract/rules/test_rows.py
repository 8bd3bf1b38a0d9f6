"""The rows of a batch.

In eval mode a batch is a matter of speed: what comes out for a row depends on that row alone, and a batch may
have any number of them.
"""

from nnspec.contract import not_applicable, tree
from nnspec.contract.findings import calling, modes, registration, rows, viewing


def test_rows_are_independent(build, ready, example, unless):
    """In eval mode the output for a row depends on no other row of its batch, and not on its place."""
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.without_batch(build, example))
    net, same = registration.register(ready()), registration.register(ready())
    net.eval(), same.eval()

    found = rows.rows_dependent(net, same, example)
    if found:
        unless(registration.modules_out_of_reach(net))
        unless(viewing.mixing(ready(), example) + rows.laid_crosswise(net, example))
        unless(calling.changed_parameters(net, tree.copies(tree.parameters(ready()))))
    yield found


def test_every_row_counts(build, ready, example, unless):
    """In eval mode more than one row of the inputs counts.

    ``out[-1]`` is the last step where time comes first, and the last row where rows do.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()
    found = rows.rows_that_count_for_nothing(net, example)
    if found:
        unless(modes.random_in_eval(net, example))

    yield found


def test_a_row_stays_whole(build, ready, example, unless):
    """Forward cuts no row into several.

    ``view(-1, n)`` with a wrong n goes whenever n divides what there is.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()

    yield viewing.cut_to_pieces(net, example)


def test_another_batch_size(build, ready, example, unless):
    """In eval mode a module takes a batch of another size.

    The last batch of a data set is smaller than the others.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.without_batch(build, example))
    net = ready()
    net.eval()

    yield rows.sizes_refused(net, example)


def test_a_batch_of_one(build, ready, example, unless):
    """In eval mode a module takes a batch of one, and returns a batch of one.

    ``squeeze()`` without a dimension takes the batch away too.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.without_batch(build, example))
    net = registration.register(ready())
    net.eval()
    unless(rows.sizes_refused(net, example))
    found = rows.one_row_refused(net, example)
    if found:
        unless(registration.modules_out_of_reach(net))

    yield found


def test_an_empty_batch(build, ready, example, unless):
    """In eval mode a module takes a batch without rows.

    Such as the boxes of an image in which nothing was found. ``view(0, -1)`` is refused.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.without_batch(build, example))
    net = ready()
    net.eval()

    yield rows.no_rows_refused(net, example)
