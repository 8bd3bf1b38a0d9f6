"""Judges torchvision's classification models by the contract, one after the other: ``tox -e contract``.

Usage: python tests/contract/torchvision_models.py [MODEL ...]

Each model is judged in a process of its own, smallest first, and what one of them does ends no other. What is
known of them stands in ``KNOWN`` and is explained in docs/contract.rst; any other violation fails the run.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict

from torchvision import models

#: What models are known to violate: the beginning of their names, and the rules.
KNOWN = {"regnet": ("building_on_meta",)}

#: Architectures that take one size of images only, or in train mode nothing much smaller than it. The others
#: are given images of 64 x 64, or of the smallest size that torchvision names for them.
SIZES = {"inception_v3": 299, "vit": 224}

#: Builds, copies, gradients and files: a model is left out where the memory has no room for so many times the
#: bytes of its parameters.
COPIES = 10

INFORMATION = {name: next(iter(models.get_model_weights(name))).meta for name in models.list_models(models)}


def size(name):
    """Height and width of the images that a model is given."""
    fixed = [pixels for start, pixels in SIZES.items() if name.startswith(start)]
    return fixed[0] if fixed else max(64, INFORMATION[name]["min_size"][0])


def judge(name):
    """Run the contract on one model."""
    command = [sys.executable, "-m", "nnspec", "contract", f"torchvision.models:{name}"]
    command += ["--input", f"2,3,{size(name)},{size(name)}"]
    for start, rules in KNOWN.items():
        if name.startswith(start):
            command += [word for rule in rules for word in ("--allow", rule)]
    return subprocess.run([*command, "--strict", "--json"], capture_output=True, text=True, check=False)


def main(names):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = defaultdict(list)
    for name in sorted(names, key=lambda name: INFORMATION[name]["num_params"]):
        parameters = INFORMATION[name]["num_params"]
        if 4 * parameters * COPIES > memory:
            groups["left out for its size"].append(name)
            continue
        start = time.monotonic()
        done = judge(name)
        report = json.loads(done.stdout) if done.stdout else {"counts": {}, "rules": []}
        shown = ", ".join(f"{number} {outcome}" for outcome, number in report["counts"].items())
        seconds = f"{time.monotonic() - start:.0f} s"
        shown = shown or f"not judged, exit code {done.returncode}"
        print(f"{name:20}{parameters / 1e6:7.1f} M{size(name):5} px  {shown} ({seconds})", flush=True)
        for rule in report["rules"]:
            if rule["outcome"] in ("violated", "allowed", "error"):
                groups[f"{rule['outcome']}: {rule['rule']}"].append(name)
        if done.returncode:
            groups["failed"].append(name)
            print(done.stdout, done.stderr, flush=True)
    print(f"\n{len(names)} models")
    for what, models_of_group in sorted(groups.items()):
        print(f"{what}: {len(models_of_group)}: {', '.join(models_of_group)}")
    return 1 if groups["failed"] else 0


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - INFORMATION.keys()
    if unknown:
        sys.exit(f"torchvision has no classification model {', '.join(sorted(unknown))}")
    sys.exit(main(sys.argv[1:] or list(INFORMATION)))
