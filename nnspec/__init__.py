"""The instrument of the executable specification of torch.nn.Module.

It runs, records, compares and publishes the clauses under ``spec/``.
"""

__version__ = "1.0.0"
