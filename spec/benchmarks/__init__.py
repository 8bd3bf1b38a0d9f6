"""What the machinery costs.

Every benchmark is a clause: it runs once with the others, and says what is done and how often. With
``--benchmark-only`` it is measured. *walking* and *keeping* are about trees of growing size: what one
module more costs. *resnet34* does the same to one real network. *calling* is about one call, with and without
hooks. *devices* is about networks at work, on the CPU and beside it. *timer* holds the measured times against
another stopwatch.
"""
