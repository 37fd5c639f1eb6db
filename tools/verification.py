"""Verifies modules; an error names the operation at fault, not the whole module."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError
from npuc.tools.errors import UserError, format_error, one_line


def verify(module: ModuleOp, file: str | None = None) -> None:
    """Verifies the module; raises UserError that names the first operation at fault."""
    try:
        verify_operations(module)
    except OperationError as error:
        raise UserError(format_error(error, file)) from None


def verify_operations(module: ModuleOp) -> None:
    """Verifies the module; raises OperationError for the first operation at fault."""
    _refuse_undefined(module)  # first, for what verifies an operation follows its operands
    # Not `module.verify()`, because that prints the whole module into the exception, weights and all. Errors that
    # need the enclosing operations are found when these are verified, each without its regions.
    for op in _inner_first(module):
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException as error:
            message = one_line(str(error)).removeprefix("Operation does not verify: ")
            raise OperationError(op, message) from None


def _inner_first(op: Operation) -> Iterator[Operation]:
    """Each operation after those in its regions, which it may rely on when it is verified."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                yield from _inner_first(inner)
    yield op


def _refuse_undefined(module: ModuleOp) -> None:
    """
    Refuses operands that stand later than their use, or in a region that does not enclose it; xDSL asks neither.

    Of values from other blocks of the same region it is not asked whether control flow comes by them first.
    """
    defined: set[SSAValue] = set()

    def visit(region: Region) -> None:
        blocks = list(region.blocks)
        defined.update(argument for block in blocks for argument in block.args)
        if len(blocks) > 1:
            defined.update(result for block in blocks for op in block.ops for result in op.results)
        for block in blocks:
            if len(blocks) > 1:
                defined.difference_update(result for op in block.ops for result in op.results)
            for op in block.ops:
                for index, value in enumerate(op.operands):
                    if value not in defined:
                        raise OperationError(op, _undefined(op, index))
                for nested in op.regions:
                    visit(nested)
                defined.update(op.results)
        for block in blocks:
            defined.difference_update(block.args)
            for op in block.ops:
                defined.difference_update(op.results)

    for region in module.regions:
        visit(region)


def _undefined(op: Operation, index: int) -> str:
    """Why an operand of `op` has no value there."""
    value = op.operands[index]
    owner = value.owner
    name = f" %{value.name_hint}" if value.name_hint else ""
    source = f"'{owner.name}'" if isinstance(owner, Operation) else "a block"
    block = owner.parent if isinstance(owner, Operation) else owner
    around = op.parent
    while around is not None and around is not block:
        around = around.parent_block()
    why = "does not enclose it" if around is None else "gives it later"
    return f"operand {index}{name} is used where it is not defined: {source} {why}"
