"""The executable specification of torch.nn.Module: nothing but clauses."""
