"""
`npu_cmd.program` -> the words of a command stream.

Registers keep their value, so only what changes is written; operations and waits are always written. Waits stand
right before the operation that needs them, after the registers that it sets: the command processor sets registers
while the machine still works.
"""

from __future__ import annotations

from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.locations import OperationError
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp, StopOp, WaitOp, commands
from npuc.hardware import registers
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.alignment import ALIGNMENT, address_problem, dma_problem, feature_map_alignment
from npuc.lowering.command_stream.machine_state import SHRAM_REGION, State, operation_of, register_state

_WAITS = {"kernel": "KERNEL_WAIT", "dma": "DMA_WAIT"}
_PARAMS = {operation.name: {mode: param for param, mode in operation.params} for operation in registers.OPERATIONS}


def encode(program: ProgramOp, acc: Accelerator) -> list[int]:
    """
    The command stream of an allocated program for one accelerator, as 32-bit words.

    Raises PassFailedException, in one line that names the operation, for what the machine cannot do: a buffer without
    address, a value that its register cannot hold, a misaligned address, a stream without end or over 16 MiB.
    """
    ops = commands(program)
    if not ops or not isinstance(ops[-1], StopOp):
        raise OperationError(program, f"@{program.sym_name.data} does not end with npu_cmd.stop")
    words: list[int] = []
    current = State()
    pending: dict[str, int] = {}

    def write(state: State) -> None:
        for register, raw in state.items():
            if current.get(register) != raw:
                words.extend(registers.set_words(register, raw))
        current.update(state)

    def operate(operation: str, param: int = 0) -> None:
        for name in _WAITS.values():
            if name in pending:
                words.append(registers.operation_word(name, pending.pop(name)))
        words.append(registers.operation_word(operation, param))

    if acc.product == "U65":
        write({"PARALLEL_MODE": acc.cores - 1})
    for op in ops:
        try:
            match op:
                case WaitOp():
                    name, count = _WAITS[op.kind.data], op.pending.data[0]
                    pending[name] = min(count, pending.get(name, count))
                case StopOp():
                    operate("STOP", registers.STOP_PARAM)
                case _:
                    assert isinstance(op, DmaOp | LaunchOp)
                    state = register_state(op, acc)
                    problem = alignment_problem(state, acc)
                    if problem is not None:
                        raise ValueError(problem)
                    if "IFM2_SCALAR" in state and "IFM2_REGION" not in current:
                        # The machine does not look at it, but Linux 6.19 takes no stream that has not set it by then.
                        state["IFM2_REGION"] = state["IFM_REGION"]
                    operation, mode = operation_of(op)
                    write(state)
                    operate(operation, _PARAMS[operation][mode])
        except ValueError as error:
            raise OperationError(op, str(error)) from error
    if 4 * len(words) > registers.MAX_STREAM_BYTES:
        raise PassFailedException(
            f"the command stream of @{program.sym_name.data} has {4 * len(words)} bytes; "
            f"the machine takes {registers.MAX_STREAM_BYTES}"
        )
    return words


def alignment_problem(state: State, acc: Accelerator) -> str | None:
    """What the machine cannot address of the operation that reads `state`, in one line; None if it can all."""
    if "DMA0_LEN" in state:
        to_shram = state["DMA0_DST_REGION"] == SHRAM_REGION
        return dma_problem(acc, state["DMA0_SRC"], state["DMA0_DST"], state["DMA0_LEN"], to_shram)
    for prefix in ("IFM", "OFM", "IFM2"):
        if f"{prefix}_BASE0" not in state:
            continue
        precision = state[f"{prefix}_PRECISION"]
        bits = 8 << registers.field(f"{prefix}_PRECISION", "precision", precision)
        brick = registers.field(f"{prefix}_PRECISION", "format", precision)
        step = feature_map_alignment("nhcwb16" if brick else "nhwc", bits)
        strides = ("STRIDE_Y", "STRIDE_C") if brick else ("STRIDE_Y", "STRIDE_X")
        for name in ("BASE0", "BASE1", "BASE2", "BASE3", *strides):
            if state[f"{prefix}_{name}"] % step:
                return f"{prefix}_{name} {state[f'{prefix}_{name}']} is not a multiple of {step}"
        for tile in range(4):
            if problem := address_problem(acc, state[f"{prefix}_BASE{tile}"], 1):
                return problem
    for register in (
        "WEIGHT_BASE",
        "WEIGHT_LENGTH",
        "SCALE_BASE",
        "SCALE_LENGTH",
        "WEIGHT1_BASE",
        "WEIGHT1_LENGTH",
        "SCALE1_BASE",
        "SCALE1_LENGTH",
    ):
        if state.get(register, 0) % ALIGNMENT:
            return f"{register} {state[register]} is not a multiple of {ALIGNMENT}"
    return None
