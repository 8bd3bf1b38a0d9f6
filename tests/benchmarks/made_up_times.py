"""Benchmarks as pytest-benchmark writes them, with times that are made up."""

EMPTY = "bench_calling.py::bench_calling_an_empty_module"


def timed(name, operation, kind, size, median, device="cpu", **more):
    """One benchmark; times are in seconds."""
    facts = {"operation": operation, "kind": kind, "size": size, "device": device, **more}
    stats = {"median": median, "iqr": median / 10, "rounds": 7, "mean": median, "data": [median]}
    return {"fullname": f"spec/benchmarks/{name}", "group": operation, "extra_info": facts, "stats": stats}


def tree(operation, kind, costs):
    """Benchmarks of an operation on trees: size to cost in empty calls of a microsecond."""
    name = f"bench_walking.py::bench_{operation.removesuffix('()')}_of_a_tree"
    return [
        timed(f"{name}[{kind}-{size}]", operation, kind, size, cost * 1e-6) for size, cost in costs.items()
    ]


def race(operation, cpu, gpu, kind="Linear"):
    """Benchmarks of a pass on both devices: batch to seconds."""
    name = f"bench_devices.py::bench_{operation}_of_{kind}"
    return [
        timed(f"{name}[{device}-{batch}]", operation, kind, batch, time, device)
        for device, times in (("cpu", cpu), ("cuda", gpu))
        for batch, time in times.items()
    ]


CALLS = [
    timed("bench_calling.py::bench_calling_a_function", "an empty call", "a function", None, 1e-7),
    timed(EMPTY, "an empty call", "a module", None, 1e-6),
]
HOOKS = [
    timed(f"bench_calling.py::bench_hooks[{n}]", "hooks", "forward", n, time * 1e-6)
    for n, time in ((0, 1), (1, 1.7), (10, 5.3))
]
LINEAR = tree("parameters()", "wide", {10: 25, 100: 205, 1000: 2005})
SQUARE = tree("parameters()", "deep", {10: 20, 30: 120, 100: 1100})
