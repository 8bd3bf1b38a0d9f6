"""The models of the page "Check your own model"."""

import torch
from torch import nn


class Tagger(nn.Module):
    """Gives each token one of five tags."""

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(10, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.register_buffer("scale", torch.full((width,), 0.5))
        self.head = nn.Linear(width, 5)

    def forward(self, tokens):
        x = self.embed(tokens) * self.scale
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x)


class Hurried(nn.Module):
    """The same, in a hurry."""

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(10, width)
        self.blocks = [nn.Linear(width, width) for _ in range(3)]
        self.scale = torch.full((width,), 0.5)
        self.head = nn.Linear(width, 5)
        self.spare = nn.Linear(width, 5)

    def forward(self, tokens):
        x = self.embed(tokens) * self.scale
        for block in self.blocks:
            x = torch.relu(block(x))
        self.last = x
        return self.head(x)
