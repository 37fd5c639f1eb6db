"""Permutations and reversals of axes, tiles and gathers: the plans, and what the simulator makes of the kernels."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from execute_region import LOWERING, Execution, context, execute, parse
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from npuc.dialects.npu_cmd import DmaOp, LaunchOp
from npuc.dialects.tosa import TOSA
from npuc.operators.support.permutation import plan

DTYPES = {"i8": np.int8, "ui8": np.uint8, "i16": np.int16, "i32": np.int32}
MACHINES = ("ethos-u55-32", "ethos-u55-128", "ethos-u65-256", "ethos-u65-512")
TO_KERNELS = ("tosa-fold-constants", "convert-tosa-to-npu-schedule")
FOLDED = (*TO_KERNELS, "npu-schedule-fold-views", "npu-schedule-select-formats")
STAGED = (*FOLDED, "npu-schedule-place-feature-maps", "npu-schedule-limit-sram", "npu-schedule-stage-operands")


def region(machine: str, lines: list[str], shape: tuple[int, ...], result: tuple[int, ...], element: str) -> ModuleOp:
    """A module with one region of tosa, from `%x` to the value that the last line defines."""
    name = lines[-1].split(" ")[0]
    body = "\n".join(lines)
    text = f"""builtin.module attributes {{npu.target = #npu.target<"{machine}">}} {{
      func.func @npu_0(%x: {typed(shape, element)}) -> {typed(result, element)} attributes {{npu.region}} {{
        {body}
        func.return {name} : {typed(result, element)}
      }} }}"""
    ctx = context()
    ctx.load_dialect(TOSA)
    module = Parser(ctx, text).parse_module()
    module.verify()
    return module


def typed(shape: tuple[int, ...], element: str) -> str:
    return f"tensor<{'x'.join(map(str, (*shape, element)))}>"


def transposed(source: str, name: str, shape: tuple[int, ...], order: tuple[int, ...], element: str) -> str:
    result = tuple(shape[axis] for axis in order)
    return (
        f"{name} = tosa.transpose {source} {{perms = array<i32: {', '.join(map(str, order))}>}} : "
        f"({typed(shape, element)}) -> {typed(result, element)}"
    )


def backwards(source: str, name: str, shape: tuple[int, ...], axis: int, element: str) -> str:
    return (
        f"{name} = tosa.reverse {source} {{axis = {axis} : i32}} : ({typed(shape, element)}) -> {typed(shape, element)}"
    )


def values(rng: np.random.Generator, shape: tuple[int, ...], element: str) -> NDArray:
    limits = np.iinfo(DTYPES[element])
    return rng.integers(limits.min, limits.max, shape, DTYPES[element], endpoint=True)


def check(found: Execution, wanted: NDArray) -> None:
    assert not found.reports, "\n".join(map(str, found.reports))
    np.testing.assert_array_equal(found.results[0], wanted)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_permuted_and_reversed_is_what_numpy_makes(seed: int) -> None:
    """One to three operations in a row, of any rank; also without the pass that takes out copies."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 7))
    most = {2: 70, 3: 24, 4: 12, 5: 7, 6: 5}[rank]
    shape = tuple(int(n) for n in rng.integers(1, most + 1, rank))
    element = str(rng.choice(list(DTYPES)))
    machine = str(rng.choice(MACHINES))
    argument = values(rng, shape, element)
    lines: list[str] = []
    wanted, source = argument, "%x"
    for number in range(int(rng.integers(1, 4))):
        name = f"%v{number}"
        if rng.random() < 0.6:
            order = tuple(int(axis) for axis in rng.permutation(rank))
            lines.append(transposed(source, name, wanted.shape, order, element))
            wanted = wanted.transpose(order)
        else:
            axis = int(rng.integers(rank))
            lines.append(backwards(source, name, wanted.shape, axis, element))
            wanted = np.flip(wanted, axis)
        source = name
    for passes in (TO_KERNELS, FOLDED, STAGED):
        module = region(machine, lines, shape, wanted.shape, element)
        check(execute(module, [argument], (*passes, *LOWERING)), wanted)


@pytest.mark.parametrize(
    ("shape", "order", "count"),
    [
        ((1, 5, 6, 7), (0, 3, 1, 2), 1),
        ((1, 5, 6, 7), (0, 2, 3, 1), 1),
        ((1, 5, 6, 7), (0, 2, 1, 3), 1),
        ((1, 5, 6, 7), (0, 1, 3, 2), 2),
        ((1, 2, 6, 7), (0, 1, 3, 2), 2),
        ((2, 5, 6, 7), (3, 2, 1, 0), 3),
        ((2, 3, 4, 5, 6), (0, 1, 4, 3, 2), 3),
        ((2, 3, 4, 5, 6), (4, 0, 3, 1, 2), 2),
        ((2, 3, 2, 3, 4, 2), (0, 3, 1, 4, 2, 5), 3),
        ((5, 1, 6), (1, 0, 2), 0),
        # More columns than a kernel has.
        ((1, 300, 300, 3), (0, 3, 1, 2), 2),
    ],
)
def test_a_plan_has_as_few_kernels_as_there_can_be(shape: tuple[int, ...], order: tuple[int, ...], count: int) -> None:
    assert sum(step.kernels for step in plan(shape, order, 1)) == count


@pytest.mark.parametrize("rank", [2, 3, 4, 5, 6])
def test_a_plan_has_fewer_kernels_than_axes(rank: int) -> None:
    shape, orders = (7, 8, 9, 10, 11, 12)[:rank], list(permutations(range(rank)))
    for order in orders[1 :: 1 if rank < 5 else 29 ** (rank - 4)]:
        assert 0 < sum(step.kernels for step in plan(shape, order, 2)) < rank


def test_one_step_moves_less_than_two_where_it_takes_as_many_kernels() -> None:
    """Two kernels for the two matrices, not two that move both of them."""
    (step,) = plan((2, 30, 40), (0, 2, 1), 1)
    assert (step.kernels, step.loops, step.units(1)) == (2, (0,), 2400)


def test_a_map_too_large_for_one_kernel_is_moved_in_parts() -> None:
    shape, order = (300, 300, 2), (2, 0, 1)
    argument = values(np.random.default_rng(1), shape, "i8")
    module = region("ethos-u55-256", [transposed("%x", "%v", shape, order, "i8")], shape, (2, 300, 300), "i8")
    check(execute(module, [argument], (*TO_KERNELS, *LOWERING)), argument.transpose(order))


def test_two_reversals_are_one_copy() -> None:
    shape = (1, 5, 6, 7)
    lines = [backwards("%x", "%a", shape, 1, "i8"), backwards("%a", "%b", shape, 2, "i8")]
    module = region("ethos-u55-128", lines, shape, shape, "i8")
    argument = values(np.random.default_rng(1), shape, "i8")
    found = execute(module, [argument], (*FOLDED, *LOWERING))
    check(found, np.flip(argument, (1, 2)))
    assert sum(isinstance(op, LaunchOp) for op in found.module.walk()) == 1


@pytest.mark.parametrize("seed", range(12))
def test_what_is_tiled_is_what_numpy_makes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 6))
    shape = tuple(int(n) for n in rng.integers(1, 6, rank))
    counts = tuple(int(n) for n in rng.choice([1, 1, 2, 3, 5], rank))
    element, machine = str(rng.choice(list(DTYPES))), str(rng.choice(MACHINES))
    argument = values(rng, shape, element)
    wanted = np.tile(argument, counts)
    lines = [
        f"%n = tosa.const_shape {{values = dense<{list(counts)}> : tensor<{rank}xindex>}} : () -> !tosa.shape<{rank}>",
        f"%v = tosa.tile %x, %n : ({typed(shape, element)}, !tosa.shape<{rank}>) -> {typed(wanted.shape, element)}",
    ]
    for passes in (TO_KERNELS, FOLDED):
        module = region(machine, lines, shape, wanted.shape, element)
        check(execute(module, [argument], (*passes, *LOWERING)), wanted)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_gathered_is_what_numpy_makes(seed: int) -> None:
    """Indices in runs, backwards too, and at random; the same in each batch, or others."""
    rng = np.random.default_rng(seed)
    batch, count, depth, length = (int(rng.integers(1, most)) for most in (4, 12, 9, 14))
    element, machine = str(rng.choice(list(DTYPES))), str(rng.choice(MACHINES))
    argument = values(rng, (batch, count, depth), element)
    start, step = int(rng.integers(count)), int(rng.choice([-2, -1, 1, 2]))
    runs = [(start + step * number) % count for number in range(length)]
    indices = np.array([runs] * batch) if rng.random() < 0.6 else rng.integers(0, count, (batch, length))
    wanted = np.take_along_axis(argument, indices[:, :, None], 1)
    lines = [
        f'%n = "tosa.const"() <{{values = dense<{indices.tolist()}> : tensor<{batch}x{length}xi32>}}> : '
        f"() -> tensor<{batch}x{length}xi32>",
        f"%v = tosa.gather %x, %n : ({typed(argument.shape, element)}, tensor<{batch}x{length}xi32>) -> "
        f"{typed(wanted.shape, element)}",
    ]
    for passes in (TO_KERNELS, FOLDED):
        module = region(machine, lines, argument.shape, wanted.shape, element)
        check(execute(module, [argument], (*passes, *LOWERING)), wanted)


def test_what_a_copy_reads_goes_forwards() -> None:
    """It may go through rows and columns in either order, and is written backwards where vela's streams are, too."""
    text = """builtin.module attributes {npu.target = #npu.target<"ethos-u55-128">} {
      func.func @npu_0(%x: tensor<1x4x6x3xi8>) -> tensor<1x4x3x3xi8> attributes {npu.region} {
        %s = npu_schedule.slice %x {offsets = #npu.ints<3, 5, 0>, strides = #npu.ints<-1, -2, 1>}
             : tensor<1x4x6x3xi8> -> tensor<1x4x3x3xi8>
        %y = npu_schedule.copy %s : tensor<1x4x3x3xi8> -> tensor<1x4x3x3xi8>
        func.return %y : tensor<1x4x3x3xi8>
      } }"""
    argument = values(np.random.default_rng(1), (1, 4, 6, 3), "i8")
    found = execute(parse(text), [argument], LOWERING)
    check(found, argument[:, ::-1, ::-2])
    (launch,) = (op for op in found.module.walk() if isinstance(op, LaunchOp))
    assert launch.ifm_map.data.strides[:2] == (18, 6)
    assert launch.ofm_map.data.strides[:2] == (-9, -3)


def test_what_is_read_apart_in_slow_memory_is_brought_to_the_cache_first() -> None:
    shape, order = (32, 24, 3), (2, 0, 1)
    argument = values(np.random.default_rng(1), shape, "i8")
    module = region("ethos-u65-512", [transposed("%x", "%v", shape, order, "i8")], shape, (3, 32, 24), "i8")
    found = execute(module, [argument], (*STAGED, *LOWERING))
    check(found, argument.transpose(order))
    assert sum(isinstance(op, DmaOp) for op in found.module.walk()) == 1
