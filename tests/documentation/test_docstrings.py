"""What a docstring is taken apart into."""

import pytest

from nnspec.documentation.docstrings import CODE, HEADING, TEXT, read_docstring, sentence, split

DOCSTRING = r"""forward(input) -> Tensor

    Apply the layer. It works on the last
    dimension, e.g. of :attr:`x`!

    .. math::
        y = x A^T + b

    .. note ::
        Statistics are kept. See :ref:`here`.

        So they are.

    After the note, use it as follows::

        layer(x)

    Rules:
    =====

    1. The first rule.
       It goes on.
    2. The second rule.

    Args:
        size (int): how large. Default: ``True``
        other, another: two at once

            Example::

                >>> x = 1
                2

        last (bool, optional): If ``True``, it is w.r.t. the last.
            And so on

    Returns:
        Tensor: what it makes

    ===== =====
    a     b
    ===== =====

    ```
    fenced
    ```
"""


def test_a_docstring_is_headings_code_and_sentences():
    blocks = [
        (block.kind, block.label, block.text or [said.text for said in block.sentences])
        for block in read_docstring(DOCSTRING)
    ]

    assert blocks == [
        (CODE, "", "forward(input) -> Tensor"),
        (TEXT, "", ["Apply the layer.", "It works on the last dimension, e.g. of :attr:`x`!"]),
        (CODE, "", ".. math::\n    y = x A^T + b"),
        (TEXT, "note", ["Statistics are kept.", "See :ref:`here`."]),
        (TEXT, "note", ["So they are."]),
        (TEXT, "", ["After the note, use it as follows::"]),
        (CODE, "", "layer(x)"),
        (HEADING, "", "Rules:"),
        (TEXT, "", ["The first rule.", "It goes on."]),
        (TEXT, "", ["The second rule."]),
        (HEADING, "", "Args"),
        (TEXT, "size", ["how large.", "Default: ``True``"]),
        (TEXT, "other, another", ["two at once"]),
        (HEADING, "", "Example"),
        (CODE, "", ">>> x = 1\n2"),
        (TEXT, "last", ["If ``True``, it is w.r.t. the last.", "And so on"]),
        (HEADING, "", "Returns"),
        (TEXT, "", ["Tensor: what it makes"]),
        (CODE, "", "===== =====\na     b\n===== ====="),
        (CODE, "", "fenced"),
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two? Three", ["One.", "Two?", "Three"]),
        ("See ``a. B`` and (e.g. C). Then.", ["See ``a. B`` and (e.g. C).", "Then."]),
        (":math:`x` where", []),
        ("Default: 1", ["Default: 1"]),
        ("If set, gradient w.r.t. :attr:`x` is sparse.", ["If set, gradient w.r.t. :attr:`x` is sparse."]),
        ("A layer, a.k.a. `Linear`, see Fig. 2.", ["A layer, a.k.a. `Linear`, see Fig. 2."]),
        (
            "See K. He et al. (2015). By J. S. Ba et al. It is.",
            ["See K. He et al. (2015).", "By J. S. Ba et al.", "It is."],
        ),
        ("Layers, losses, etc. Each is called.", ["Layers, losses, etc.", "Each is called."]),
        ("An orthogonal. Default: 1", ["An orthogonal.", "Default: 1"]),
    ],
)
def test_sentences_end_where_they_end(text, sentences):
    assert split(text) == sentences


def test_markup_and_capitals_do_not_change_a_digest():
    plain = sentence("The weight of a Module.")

    assert plain.digest == sentence("the  ``weight`` of a :class:`Module`").digest
    assert plain.digest != sentence("The bias of a Module.").digest
    assert sentence("Default: 1", "stride").digest != sentence("Default: 1", "groups").digest
