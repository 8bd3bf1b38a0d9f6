"""One-hot vectors: classes as rows of zeros and a one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_how_many_classes_there_are():
    """``F.one_hot`` makes as many classes as the largest one needs, unless ``num_classes`` is given.

    So two batches may give tensors of different sizes. The classes become the last dimension.
    """
    assert F.one_hot(torch.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(torch.tensor([0, 1])).shape == (2, 2)
    assert F.one_hot(torch.tensor([0, 2]), 4).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert F.one_hot(torch.zeros(2, 5, 5, dtype=torch.long), 3).shape == (2, 5, 5, 3)


def test_what_one_hot_refuses():
    """``F.one_hot`` raises ``RuntimeError`` for classes that are negative, too large or not ``torch.long``.

    An ignored class of -100 has to be replaced first.
    """
    for classes, number, message in [
        (torch.tensor([-1, 2]), -1, "Class values must be non-negative"),
        (torch.tensor([-100, 2]), 5, "Class values must be non-negative"),
        (torch.tensor([0, 2]), 2, "Class values must be smaller than num_classes"),
        (torch.tensor([0, 2], dtype=torch.int32), -1, "only applicable to index tensor"),
        (torch.tensor([0.0, 2.0]), -1, "only applicable to index tensor"),
        (torch.tensor([], dtype=torch.long), -1, "Can not infer total number of classes from empty tensor"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            F.one_hot(classes, number)


def test_they_are_integers():
    """``F.one_hot`` returns ``torch.long``: a ``nn.Linear`` or ``nn.CrossEntropyLoss`` needs it as float.

    A product of it with a weight is what ``nn.Embedding`` looks up.
    """
    classes = torch.tensor([2, 0])
    rows = F.one_hot(classes, 3)
    embedding = nn.Embedding(3, 4)
    scores = torch.randn(2, 3)

    assert rows.dtype is torch.long
    assert torch.equal(rows.float() @ embedding.weight, embedding(classes))
    assert torch.allclose(nn.CrossEntropyLoss()(scores, rows.float()), nn.CrossEntropyLoss()(scores, classes))
    with pytest.raises(RuntimeError, match="Long"):
        nn.CrossEntropyLoss()(scores, rows)
    with pytest.raises(RuntimeError, match="dtype"):
        nn.Linear(3, 2)(rows)
