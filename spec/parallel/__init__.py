"""Running one module in several places at once.

Read *data_parallel* first.
"""
