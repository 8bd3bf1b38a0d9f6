"""What the machinery costs.

Benchmarks are measurements, not clauses. With ``--benchmark-only`` they are measured; otherwise each runs
once, on its smallest case, and shows that it still does what it times. *walking* and *keeping* are about
trees of growing size: what one module more costs. *resnet34* does the same to one real network. *calling* is
about one call, with and without hooks. *devices* is about networks at work, on the CPU and beside it, and
*moving* about the way there and back. *timer* holds the measured times against another stopwatch.
"""
