"""
Write on the module which machine it is for.

Assumes nothing. Decides `npu.target` from options with vela's names and defaults: accelerator, system configuration and
memory mode (from files in vela's `.ini` format, or built in), a limit in bytes for the memory that holds feature maps,
and whether inputs of the network lie outside of the arena where they can. Every later pass reads the machine from
there, so that any of them runs alone on any file.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.npu import TARGET_ATTR, TargetAttr
from npuc.hardware.accelerators import accelerator
from npuc.hardware.memory import memory_setup


@dataclass(frozen=True)
class NpuSetTargetPass(ModulePass):
    """Name the accelerator, its memories and the SRAM limit on the module."""

    name = "npu-set-target"

    accelerator: str = "ethos-u55-256"
    config: tuple[str, ...] = ()
    system_config: str | None = None
    memory_mode: str | None = None
    limit: int | None = None
    external_inputs: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        try:
            machine = accelerator(self.accelerator)
            setup = memory_setup(machine, self.config, self.system_config, self.memory_mode, self.limit)
        except ValueError as error:
            raise PassFailedException(str(error)) from error
        op.attributes[TARGET_ATTR] = TargetAttr(
            machine.name,
            setup.system_config,
            setup.memory_mode,
            "\n".join(self.config),
            self.limit,
            self.external_inputs,
        )
