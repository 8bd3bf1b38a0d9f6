"""The rules that the specification keeps, one function each."""
