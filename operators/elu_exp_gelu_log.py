"""
ELU, EXP, GELU and LOG: tables of what LiteRT computes in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BoolAttr
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.operators.support.builder import Builder
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import NO_KERNEL, Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.operators.support import tables
    from npuc.operators.support.tables import Floats, Function, Library
else:
    np, tables = deferred("numpy", "npuc.operators.support.tables")


@irdl_op_definition
class EluOp(tfl.UnaryOp):
    """x, or exp(x) - 1 where x is negative."""

    name = "tfl.elu"


@irdl_op_definition
class ExpOp(tfl.UnaryOp):
    name = "tfl.exp"


@irdl_op_definition
class GeluOp(tfl.UnaryOp):
    """x times the normal distribution of x; `approximate` has a hyperbolic tangent in its place."""

    name = "tfl.gelu"

    approximate = prop_def(BoolAttr, tfl.FALSE)


@irdl_op_definition
class LogOp(tfl.UnaryOp):
    """The natural logarithm; the least value of all for what has none."""

    name = "tfl.log"


Limits = tuple["np.float32", "np.float32"]


def elu(x: Floats, limits: Limits, library: Library) -> Floats:
    return np.where(x < 0, library(np.exp, x) - np.float32(1), x)


def exp(x: Floats, limits: Limits, library: Library) -> Floats:
    return library(np.exp, x)


def gelu(x: Floats, limits: Limits, library: Library) -> Floats:
    return np.float32(0.5) * x * library(tables.erfc, x * np.float32(-math.sqrt(0.5)))


def approximate_gelu(x: Floats, limits: Limits, library: Library) -> Floats:
    argument = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + library(np.tanh, argument))


def log(x: Floats, limits: Limits, library: Library) -> Floats:
    return np.where(x <= 0, limits[0], library(np.log, np.where(x <= 0, np.float32(1), x)))


def function_of(op: tfl.UnaryOp) -> Function:
    """What LiteRT computes of each element."""
    match op:
        case EluOp():
            return elu
        case GeluOp():
            return approximate_gelu if op.approximate else gelu
        case LogOp():
            return log
        case _:
            return exp


def check(op: tfl.UnaryOp) -> None:
    tables.check_function(op, function_of(op))


def convert(build: Builder, op: tfl.UnaryOp) -> list[SSAValue]:
    """A look-up in a table."""
    return tables.real_function(build, op, function_of(op))


OPERATORS = (
    Operator(
        op=EluOp,
        kernels="a copy with a table",
        check=check,
        convert=convert,
        types=("int8",),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
    Operator(
        op=ExpOp,
        kernels="as ELU",
        check=check,
        convert=convert,
        types=("int8", "int16"),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
    Operator(op=GeluOp, kernels="as ELU", check=check, convert=convert, rank=6, batches=True),
    Operator(
        op=LogOp,
        kernels="as ELU",
        check=check,
        convert=convert,
        types=("int8", "int16"),
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
