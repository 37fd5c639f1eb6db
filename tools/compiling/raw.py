"""
A network as arrays in an .npz file, with the names and types of `vela --output-format raw`.

It has to be one region of the NPU: a driver that is fed by hand knows of no operators on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import prod
from typing import Any

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from npuc.analysis.host import main_function, value_bytes
from npuc.dialects.npu import InvokeOp
from npuc.dialects.quant import UniformQuantizedType, storage_tensor
from npuc.lowering.command_stream.emit import emit
from npuc.tools.errors import UserError

CONSTANTS, ARENA, FAST = 0, 1, 2
"""Regions of the machine: which base pointer addresses are relative to."""


def npz(module: ModuleOp, name: str) -> bytes:
    """The file for a module that is about to become a TFLite file; raises UserError."""
    import numpy as np

    main = main_function(module)
    operations = [] if main is None else [op for op in main.body.block.ops if not isinstance(op, ReturnOp)]
    if len(operations) != 1 or not isinstance(operations[0], InvokeOp):
        raise UserError(f"--output-format raw: {name} is not one NPU region: operators stay on the CPU")
    invoke = operations[0]
    parts = emit(module)
    ((region, payload),) = parts.payloads.items()
    edge = parts.boundaries[region]
    if None in edge.inputs.values():
        raise UserError("--output-format raw: it does not go with --external-inputs")
    fast = parts.fast_size or 0
    arrays: dict[str, Any] = {
        "cmd_data": np.frombuffer(payload, np.uint8),
        "weight_data": np.frombuffer(parts.read_only, np.uint8),
        "weight_region": CONSTANTS,
        "scratch_shape": [parts.arena_size],
        "scratch_region": ARENA,
        "scratch_size": parts.arena_size,
        "scratch_fast_shape": [fast],
        "scratch_fast_region": FAST if fast else 0,
        "scratch_fast_size": fast,
        **_tensors("input", invoke.arguments, [edge.inputs[index] or 0 for index in range(len(invoke.arguments))]),
        **_tensors("output", invoke.res, [edge.outputs[index] for index in range(len(invoke.res))]),
        **_tensors("variable", (), ()),
    }
    return _archive(arrays)


def _tensors(name: str, values: Sequence[SSAValue], offsets: Sequence[int]) -> dict[str, Any]:
    """What is said of inputs, outputs or variables: shape, bytes of an element, place and quantisation of each."""
    import numpy as np

    types = [type_ for value in values if isinstance(type_ := storage_tensor(value.type), TensorType)]
    shapes = [list(type_.get_shape()) for type_ in types]
    sizes = [(value_bytes(v) or 0) // max(1, prod(shape)) for v, shape in zip(values, shapes, strict=True)]
    rank = max((len(shape) for shape in shapes), default=0)
    # One array holds all shapes: shorter ones have ones in front.
    padded = [[1] * (rank - len(shape)) + shape for shape in shapes]
    quantisation = np.empty(len(values), dtype=object)
    quantisation[:] = [_quantisation(value) for value in values]
    return {
        f"{name}_shape": padded,
        f"{name}_elem_size": sizes,
        f"{name}_region": [ARENA] * len(values),
        f"{name}_offset": list(offsets),
        f"{name}_quantization": quantisation if len(values) else [],
    }


def _quantisation(value: SSAValue) -> dict[str, Any]:
    import numpy as np

    type_ = value.type
    element = type_.element_type if isinstance(type_, TensorType) else None
    if not isinstance(element, UniformQuantizedType):
        return {"quant_type": "none", "scale": np.array([], np.float32), "zero_point": np.array([], np.int32)}
    data = element.data
    return {
        "quant_type": "per_tensor" if data.axis is None else "per_channel",
        "scale": np.array(data.scales, np.float32),
        "zero_point": np.array(data.zero_points, np.int32),
    }


def _archive(arrays: dict[str, Any]) -> bytes:
    """As np.savez writes it, but with the same bytes each time."""
    from zipfile import ZipFile, ZipInfo

    import numpy as np

    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for name, values in arrays.items():
            # The time of an entry is a constant: ZipInfo's own default.
            with archive.open(ZipInfo(f"{name}.npy"), "w") as entry:
                np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=True)
    return out.getvalue()
