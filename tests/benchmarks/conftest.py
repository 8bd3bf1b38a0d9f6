"""Files of times that are made up."""

import json

import pytest


@pytest.fixture
def measured(tmp_path):
    """Writes a file of pytest-benchmark: ``measured(benchmarks)`` gives its path."""

    def write(benchmarks, torch="2.15.0+cpu", name="bench.json", machine=(), **changed):
        machine_info = {
            "node": "secret",
            "python_version": "3.11.7",
            "system": "Linux",
            "machine": "x86_64",
            "torch": torch,
            "devices": ["cpu", "cuda (NVIDIA H200)"],
            "cores": 2,
            **dict(machine),
        }
        table = {"machine_info": machine_info, "benchmarks": benchmarks, "datetime": "2026-01-02T03:04:05"}
        path = tmp_path / name
        path.write_text(json.dumps({**table, "version": "5.3.1", **changed}))
        return path

    return write
