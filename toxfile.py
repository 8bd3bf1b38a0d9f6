"""tox has an environment for each release in ``nnspec/clauses/releases.toml``, with the pins it names."""

import sys
from collections.abc import Iterable
from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.python.pip.req_file import PythonDeps

ROOT = Path(__file__).parent

sys.path.insert(0, str(ROOT))  # tox may live where the project is not installed
from nnspec.clauses.releases import PINS  # noqa: E402


@impl
def tox_extend_envs() -> Iterable[str]:
    return [f"torch{release}" for release in PINS]


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    for release, pins in PINS.items():
        settings = MemoryLoader(
            description=f"the specification on torch {pins.torch}",
            labels={"releases"},
            deps=PythonDeps(pins.requirements, root=ROOT),
        )
        state.conf.memory_seed_loaders[f"torch{release}"].append(settings)
    on_xla = [pins for pins in PINS.values() if pins.torch_xla]
    if on_xla:
        needed = [*on_xla[-1].requirements, f"torch_xla=={on_xla[-1].torch_xla}"]
        settings = MemoryLoader(deps=PythonDeps(needed, root=ROOT))
        state.conf.memory_seed_loaders["xla"].append(settings)
