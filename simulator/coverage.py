"""
Which register features a set of streams exercised, so that a proof by execution can say what it covers.

A feature is one value of one enumerated field that an operation read, or one condition that selects a rule of
docs/simulator.md (padding, tiles, negative strides, table sizes ...), each under the operation that met it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from npuc.hardware import registers
from npuc.simulator.stream import Op

_SIDES = ("TOP", "BOTTOM", "LEFT", "RIGHT")
_SIZES = {0: "8", 1: "16", 2: "32"}
# Fields whose values are numbers, or are told by a condition below.
_TOLD_OTHERWISE = {"stride_x_low", "stride_y_low", "stride_x_high", "stride_y_high", "region"}


def features(op: Op) -> set[str]:
    """The features of one operation, each as "OPERATION [MODE]: feature"."""
    found: set[str] = set()
    state = op.state
    for name in state:
        for field in registers.BY_NAME[name].fields:
            if field.name in _TOLD_OTHERWISE:
                continue
            value = field.get(state[name])
            found.add(f"{name}.{field.name} = {dict(field.values).get(value, str(value))}")
    if op.is_kernel:
        found |= _kernel_features(op)
    elif op.name.endswith("_WAIT"):
        found.add(f"param = {op.param}")
    head = f"{op.name} {op.mode}".rstrip()
    return {f"{head}: {feature}" for feature in found} or {head}


def _kernel_features(op: Op) -> set[str]:
    state = op.state
    found = {f"BLOCKDEP = {state['BLOCKDEP']}"}
    for prefix in ("IFM", "IFM2", "OFM"):
        if prefix + "_REGION" not in state:
            continue
        if state[prefix + "_ZERO_POINT"]:
            found.add(f"{prefix}_ZERO_POINT other than 0")
        for axis in "XY":
            if state[f"{prefix}_STRIDE_{axis}"] >> 31:
                found.add(f"{prefix}_STRIDE_{axis} negative")
        if prefix == "OFM":
            if state["OFM_HEIGHT_M1"] > state["OFM_HEIGHT0_M1"]:
                found.add("OFM tiles")
    if "KERNEL_STRIDE" in state:
        y, x = registers.strides(state["KERNEL_STRIDE"])
        found |= {f"stride y = {y}", f"stride x = {x}"}
        if any(state[f"IFM_PAD_{side}"] for side in _SIDES):
            found.add("padding")
        height, width = state["KERNEL_HEIGHT_M1"], state["KERNEL_WIDTH_M1"]
        if max(height, width) > 7:
            found.add("kernel larger than 8")
        rows = state["OFM_HEIGHT_M1"] * y + height + 1 - state["IFM_PAD_TOP"] - state["IFM_PAD_BOTTOM"]
        columns = state["OFM_WIDTH_M1"] * x + width + 1 - state["IFM_PAD_LEFT"] - state["IFM_PAD_RIGHT"]
        if state["IFM_UPSCALE"]:
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
        if rows - 1 > state["IFM_HEIGHT0_M1"]:
            found.add("IFM tiles in y")
        if columns - 1 > state["IFM_WIDTH0_M1"]:
            found.add("IFM tiles in x")
    if op.get("ACTIVATION", "function") >= 16:
        index = {0: _SIZES[op.get("OFM_PRECISION", "precision")], 2: "8", 3: "8", 5: "16"}
        source = index[op.get("ACTIVATION", "clip_range")]
        found.add(f"lookup {source} -> {_SIZES[op.get('OFM_PRECISION', 'precision')]} bit")
    if "OFM_SCALE" in state:
        shift = state["OFM_SCALE"] >> 32
        found.add("OFM_SCALE shift " + ("0" if not shift else "1..31" if shift < 32 else "32..63"))
    if "OPA_SCALE" in state:
        bits = _SIZES[op.get("IFM_PRECISION", "precision")]
        unit = state["OPA_SCALE"] == 1 and state["OPB_SCALE"] == 1
        found.add(f"{bits}-bit operands, scale mode {op.get('IFM_PRECISION', 'scale_mode')}{', unscaled' * unit}")
    return found


def coverage(ops: Iterable[Op]) -> Counter[str]:
    """How many operations exercised each feature."""
    total: Counter[str] = Counter()
    for op in ops:
        total.update(features(op))
    return total


def unexercised(total: Counter[str]) -> list[str]:
    """The enumerated values of the register map, and the operations and modes, that no stream used."""
    heads = {name.split(":")[0] for name in total}
    seen = {name.split(": ", 1)[1] for name in total if ": " in name}
    missing = [
        f"{operation.name} {mode}".rstrip()
        for operation in registers.OPERATIONS
        for mode in [mode for _, mode in operation.params] or [""]
        if f"{operation.name} {mode}".rstrip() not in heads
    ]
    for register in registers.REGISTERS:
        for field in register.fields:
            names = [f"{register.name}.{field.name} = {text}" for _, text in field.values]
            missing += [name for name in names if name not in seen]
    return missing
