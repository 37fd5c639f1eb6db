"""
The pipeline of `npu-compile` as text, so that `npu-opt -p` can run any part of it.

It reads as a sentence: partition, lower to kernels, decide, lower to commands, place and order them, write the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOWERING = (
    "tfl-fold-constants",
    "tfl-fold-dequantize",
    "tfl-remove-identities",
    "tfl-fold-dilation",
    "tfl-partition",
    "convert-tfl-to-tosa",
    "tosa-fold-pad",
    "convert-tosa-to-npu-schedule",
    "convert-tfl-to-npu-schedule",
)
SCHEDULE = (
    "npu-schedule-fuse-activations",
    "npu-schedule-tabulate",
    "npu-schedule-collapse-luts",
    "npu-schedule-fold-views",
    "npu-schedule-select-formats",
    "npu-schedule-copies-to-kernels",
    "npu-schedule-place-inputs",
    "npu-schedule-order-kernels",
    "npu-schedule-place-feature-maps",
    "npu-schedule-limit-sram",
    "npu-schedule-plan-cascades",
    "npu-schedule-form-cascades",
    "npu-schedule-overlap-results",
    "npu-schedule-stage-operands",
    "npu-schedule-reuse-ifm",
    "npu-schedule-select-blocks",
    "npu-schedule-share-weights",
    "npu-schedule-buffer-weights",
    "npu-schedule-split-weight-buffers",
)
COMMANDS = (
    "convert-npu-schedule-to-npu-cmd",
    "npu-cmd-hoist-dma",
    "npu-cmd-allocate",
    "npu-cmd-assign-lut-slots",
    "npu-cmd-set-blockdep",
    "npu-cmd-insert-waits",
)
EMIT = "convert-npu-cmd-to-tfl"

OPTIONAL = frozenset(
    {
        "tfl-fold-constants",
        "tfl-fold-dequantize",
        "tfl-fold-dilation",
        "tfl-remove-identities",
        "tosa-fold-pad",
        *SCHEDULE,
        "npu-cmd-hoist-dma",
        "npu-cmd-set-blockdep",
    }
)
"""Passes that only optimise: the result is exact without any of them."""

CASCADING = frozenset({"npu-schedule-plan-cascades", "npu-schedule-form-cascades"})
"""Those that run kernels stripe by stripe."""
BUFFERING = frozenset({"npu-schedule-buffer-weights", "npu-schedule-split-weight-buffers"})
"""Those that bring weights beside kernels."""
IFM_REUSE = frozenset({"npu-schedule-reuse-ifm"})
"""The one that lets kernels write over what they read."""


@dataclass(frozen=True)
class Target:
    """What a model is compiled for, with vela's names and defaults; a limit in bytes, a round trip in cycles."""

    accelerator: str = "ethos-u55-256"
    config: tuple[str, ...] = ()
    system_config: str | None = None
    memory_mode: str | None = None
    limit: int | None = None
    strategy: Literal["performance", "size"] = "performance"
    external_inputs: bool = False
    integer_io: bool = False
    round_trip: int = 0
    debug_info: bool = True
    ignore: tuple[str, ...] = ()
    """Operators that stay on the CPU."""
    block_dependency: int | None = None
    """Most blocks of a kernel that may be under way when the next one starts."""
    leave_out: frozenset[str] = frozenset()
    """Passes that do not run, of `OPTIONAL`."""

    @property
    def text(self) -> str:
        """The pass that writes the target on the module."""
        options = [f'accelerator="{self.accelerator}"']
        if self.config:
            options.append("config=" + _strings(self.config))
        for name, value in (
            ("system-config", self.system_config),
            ("memory-mode", self.memory_mode),
        ):
            if value is not None:
                options.append(f'{name}="{value}"')
        if self.limit is not None:
            options.append(f"limit={self.limit}")
        if self.external_inputs:
            options.append("external-inputs=true")
        return f"npu-set-target{{{' '.join(options)}}}"


def pipeline(target: Target, leave_out: frozenset[str] = frozenset()) -> str:
    """The whole pipeline, from a TFLite model to one with `ethos-u` operators."""
    strategy = f'{{strategy="{target.strategy}"}}'
    options = {"npu-schedule-order-kernels": strategy, "npu-schedule-limit-sram": strategy}
    if not target.debug_info:
        options[EMIT] = "{debug-info=false}"
    partition = [f"round-trip={target.round_trip}"] if target.round_trip else []
    partition += [f"ignore={_strings(target.ignore)}"] if target.ignore else []
    if partition:
        options["tfl-partition"] = f"{{{' '.join(partition)}}}"
    if target.block_dependency is not None:
        options["npu-cmd-set-blockdep"] = f"{{most={target.block_dependency}}}"
    left_out = leave_out | target.leave_out
    passes = [one for one in (*LOWERING, *SCHEDULE, *COMMANDS, EMIT) if one not in left_out]
    if target.integer_io:
        passes.insert(passes.index("tfl-partition"), "tfl-drop-float-borders")
    return ",".join([target.text, *(one + options.get(one, "") for one in passes)])


def _strings(values: tuple[str, ...]) -> str:
    return ",".join(f'"{value}"' for value in values)
