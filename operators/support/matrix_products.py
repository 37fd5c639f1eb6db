"""
Products of matrices that are both computed at run time: a MUL for each row of one of them, and sums over the depth.

A convolution reads its weights as a stream that the compiler has made. What is not known by then is multiplied element
by element: a row, which all rows of the other matrix see (broadcast along height and width), with all of these, into 32
bits; a pool sums each product up and scales it, or several of them if they fit into `SCRATCH`. So the kernels are as
many as one of the matrices has rows.

All batches are done at once: they are the rows of a map, whose columns are the rows of a matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import Attribute, SSAValue

from npuc.dialects.npu import Activation, Scale
from npuc.operators.support import rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, Emitter, folded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    (np,) = deferred("numpy")

SCRATCH = 1 << 14
"""Bytes of products that one pool sums up, unless those of one row are more."""
MAX_ROWS = 512
"""
Most rows of the matrix with fewer: so many kernels one operator may become. More than `rules.MAX_LAUNCHES`, as each
computes a whole row of products: attention over 16 x 16 patches needs 256.
"""
_APART = 8
"""So many rows of A take about as long as one of B, where results lie apart."""


@dataclass(frozen=True)
class Result:
    """What becomes of a sum of products."""

    element_type: Attribute
    zero_point: int
    scale: Scale
    activation: Activation


def bounds(operands: tuple[SSAValue, SSAValue], depth: int) -> tuple[int, int]:
    """Least and greatest sum of so many products of values less their zero points."""
    (a, b), (c, d) = map(rules.values, operands)
    products = (a * c, a * d, b * c, b * d)
    return depth * min(products), depth * max(products)


def check(
    operands: tuple[SSAValue, SSAValue], extents: tuple[tuple[int, int], tuple[int, int]], depth: int, result: SSAValue
) -> None:
    """What must hold of two matrices of so many batches and rows."""
    least, greatest = bounds(operands, depth)
    rules.require(max(-least, greatest) < 1 << 31, "sums of products must fit 32 bits", result)
    batches, rows = zip(*extents, strict=True)
    count = rows[row_by_row(batches, rows, depth)]
    rules.require(count <= MAX_ROWS, f"one of the matrices must have at most {MAX_ROWS} rows, not {count}", result)
    limit = rules.MAX_DIMENSION
    most = max(math.prod(rows), max(batches) * max(rows))
    rules.require(most <= limit, f"a matrix of the result, or all rows of an operand, must be at most {limit}", result)


def row_by_row(batches: tuple[int, int], rows: tuple[int, int], depth: int) -> int:
    """Which matrix is taken row by row, 0 or 1; the other one must not have the one batch for all batches."""
    if batches[0] != batches[1]:
        return int(batches[1] < batches[0])
    # Rows of B are columns of the result, whose elements lie apart: many short writes, unless all are made at once.
    at_once = 4 * batches[0] * math.prod(rows) * depth <= SCRATCH
    return int(rows[1] < rows[0] and (at_once or _APART * rows[1] <= rows[0] or rows[0] > MAX_ROWS))


def product(
    emit: Emitter,
    a: SSAValue,
    b: SSAValue,
    zero_points: tuple[int, int],
    result: Result,
    bias: NDArray[np.int32] | None = None,
) -> SSAValue:
    """
    A times B transposed: 1 x batches x rows of A x rows of B, from maps of 1 x batches x rows x depth, with 1 batch in
    place of all in one of them. `bias`: a number for each row of B.
    """
    batches = (shape_of(a)[1], shape_of(b)[1])
    rows = (shape_of(a)[2], shape_of(b)[2])
    taken = row_by_row(batches, rows, shape_of(a)[3])
    single, other = (a, b) if taken == 0 else (b, a)
    _, batch, length, depth = shape_of(other)
    # One batch may stand in any rectangle, of which the machine fills blocks and the planner cuts rows.
    map_ = (1, *(folded(length) if batch == 1 else (batch, length)), depth)
    at_once = max(1, min(rows[taken], SCRATCH // (4 * math.prod(map_))))
    parts: list[SSAValue] = []
    for start in range(0, rows[taken], at_once):
        products: list[SSAValue] = []
        for row in range(start, min(start + at_once, rows[taken])):
            terms = emit.elementwise(
                "mul",
                emit.view(other, map_),
                emit.slice(single, (0, row, 0), (shape_of(single)[1], 1, depth)),
                TensorType(i32, list(map_)),
                zero_points=(zero_points[1 - taken], zero_points[taken], 0),
                scale=IDENTITY,
            )
            if bias is not None:
                added = np.broadcast_to(bias[row] if taken else bias.reshape(map_[1:3]), map_[1:3])
                terms = emit.concat([terms, emit.copy(emit.constant(added.reshape(*map_[:3], 1)))], 3)
            products.append(terms)
        if taken == 0:
            terms = emit.concat(products, 1 if batch == 1 else 2)
        else:
            # As columns beside each other, so that their sums stand in the order of the result.
            columns = emit.concat(products, 3)
            terms = emit.view(columns, (1, math.prod(map_[:3]), len(products), shape_of(products[0])[3]))
        parts.append(_sums(emit, terms, result))
    return emit.view(emit.concat(parts, 1 if taken == 0 and batch == 1 else 2), (1, max(batches), *rows))


def _sums(emit: Emitter, terms: SSAValue, result: Result) -> SSAValue:
    """Sums over the depth of 32-bit values."""
    ofm: TensorType[Any] = TensorType(result.element_type, [*shape_of(terms)[:3], 1])
    return emit.pool(
        "sum", terms, ofm, zero_points=(0, result.zero_point), scale=result.scale, activation=result.activation
    )
