"""
The pass registry, derived from the file names so that there is no list to keep.

`passes/npu_schedule_select_blocks.py` defines `NpuScheduleSelectBlocksPass`, named
`npu-schedule-select-blocks`; likewise `lowering/convert_*.py`. Nothing is imported until asked for.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from xdsl.passes import ModulePass


def _factory(module: str) -> Callable[[], type[ModulePass]]:
    class_name = "".join(part.capitalize() for part in module.rpartition(".")[2].split("_")) + "Pass"

    def load() -> type[ModulePass]:
        return getattr(import_module(module), class_name)

    return load


def module_names() -> dict[str, str]:
    """Pass name -> the module that defines it."""
    names: dict[str, str] = {}
    for package, prefix in (("npuc.passes", ""), ("npuc.lowering", "convert_")):
        spec = find_spec(package)
        assert spec is not None
        for info in iter_modules(spec.submodule_search_locations):
            if not info.ispkg and not info.name.startswith("_") and info.name.startswith(prefix):
                names[info.name.replace("_", "-")] = f"{package}.{info.name}"
    return dict(sorted(names.items()))


def all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Pass name -> zero-argument factory that imports and returns the pass class."""
    return {name: _factory(module) for name, module in module_names().items()}
