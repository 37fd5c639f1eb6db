"""
Which source operators the commands of a file work for that does not say it, by what the simulator sees.

The file runs in the simulator (`npuc.simulator.compare`) beside the source model in LiteRT, on the same drawn inputs. A
kernel whose OFM equals a tensor of the source, or a part of it, works for the operator that makes that tensor. Kernels
in between work for the operator of the next kernel that is recognised; those at the end for the operator of a result
of their stream, by its name, or for that of the last kernel that is recognised. So kernels that are not exact have the
name of what comes behind them. An operator whose tensor no kernel makes was fused into what reads it. Transfers work
for what the first kernel works for that reads what they bring. Nothing of this asks which compiler made the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from npuc.analysis.accesses import accesses, first_readers
from npuc.dialects.locations import Source, fused, of_operator, operator_location, sources
from npuc.dialects.npu import InvokeOp, target_of
from npuc.dialects.npu_cmd import LaunchOp, ProgramOp
from npuc.dialects.tfl import is_operator, tensor_name
from npuc.hardware.accelerators import accelerator
from npuc.lowering.debug_info import host_operators, origins
from npuc.tools.errors import UserError

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""What counts for the whole where others are fused with it."""


def match_commands(module: ModuleOp, data: bytes, name: str, reference: ModuleOp, source: bytes, where: str) -> None:
    """
    Gives the commands of a decoded file (`module` of `data`) the locations of the operators of a source model that
    they work for; raises UserError, which names `name` or `where`.
    """
    served = _served(data, name, source, where)
    known = {
        one.operator.number: (op, one)
        for op in reference.walk()
        if is_operator(op) and (entries := sources(op.location)) and not (one := entries[0]).operator.subgraph
    }
    on_cpu = {_tensors(op) for op in host_operators(module)}
    known = {number: entry for number, entry in known.items() if _tensors(entry[0]) not in on_cpu}
    streams: list[tuple[ProgramOp, list[int]]] = []
    makers = {name: number for number, (op, _) in known.items() for name in _tensors(op)}
    results = {op.callee.string_value(): op.res for op in module.walk() if isinstance(op, InvokeOp)}
    at = 0
    for program in (op for op in module.ops if isinstance(op, ProgramOp)):
        count = sum(isinstance(op, LaunchOp) for op in origins(program))
        made = {makers.get(tensor_name(value), -1) for value in results.get(program.sym_name.data, ())}
        streams.append((program, _without_gaps(served[at : at + count], made)))
        at += count
    members = _fused(known, {number for _, numbers in streams for number in numbers})
    for program, numbers in streams:
        ops = origins(program)
        launches = [op for op in ops if isinstance(op, LaunchOp)]
        for op, number in zip(launches, numbers, strict=True):
            if number in members:
                main, *others = (operator_location(one) for one in members[number])
                op.location = fused(main, operator_location(known[number][1]), *others)
        machine = accelerator(target_of(program).accelerator.data)
        for transfer, reader in first_readers([(isinstance(op, LaunchOp), accesses(op, machine)) for op in ops]):
            ops[transfer].location = ops[reader].location


def name_host(module: ModuleOp, reference: ModuleOp) -> None:
    """Gives the operators of a file that stay on the CPU the numbers that they have in the source, by their tensors."""
    known = {_tensors(op): sources(op.location)[:1] for op in host_operators(reference)}
    for op in host_operators(module):
        for one in known.get(_tensors(op), ()):
            op.location = of_operator(op.location, one.operator)


def _tensors(op: Operation) -> tuple[str, ...]:
    return tuple(tensor_name(result) for result in op.results)


def _served(data: bytes, name: str, source: bytes, where: str) -> list[int]:
    """For each kernel of a file the number of the operator that it is recognised to work for, or -1."""
    try:
        from npuc.simulator.compare import Comparer
    except ImportError as error:
        raise UserError(f"--reference: to match commands takes the extra `run`: {error}") from None
    from npuc.simulator.isolation import SourceError
    from npuc.simulator.runner import load

    try:
        return Comparer(load(data), source).served()
    except SourceError as error:
        raise UserError(f"{where}: {error}") from None
    except (ValueError, RuntimeError) as error:  # streams and files that the simulator does not take
        raise UserError(f"{name}: {error}") from None


def _without_gaps(numbers: Sequence[int], results: Set[int]) -> list[int]:
    """
    The same for the kernels of one stream, and for what is not recognised (-1) the next that is; at the end one that
    makes a result of the stream and is not recognised either, else the last.
    """
    filled: list[int] = []
    following = max(results - {*numbers}, default=-1)
    if following < 0:
        following = next((number for number in reversed(numbers) if number >= 0), -1)
    for number in reversed(numbers):
        following = number if number >= 0 else following
        filled.append(following)
    return filled[::-1]


def _fused(known: Mapping[int, tuple[Operation, Source]], made: Set[int]) -> dict[int, list[Source]]:
    """
    For each operator whose tensor is made the operators that its kernels work for: itself, and those in front of it
    whose tensors nobody makes; what has weights first.
    """
    numbers = {op: number for number, (op, _) in known.items()}
    members = {number: [known[number][1]] for number in made if number in known}
    leads: dict[int, int] = {number: number for number in members}
    for number in sorted(known, reverse=True):
        if number in leads:
            continue
        readers = {numbers.get(use.operation, -1) for result in known[number][0].results for use in result.uses}
        readers &= leads.keys()
        if readers:
            leads[number] = leads[min(readers)]
            members[leads[number]].append(known[number][1])
    for entries in members.values():
        entries.sort(key=lambda one: one.operator.type not in WEIGHTED)
    return members
