"""One combination compiled, profiled and, where that is asked for, proven: what a process of a sweep does."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import product

from npuc.hardware.parameters import DEFAULT, HIGH, LOW
from npuc.lowering.convert_npu_cmd_to_tfl import CUSTOM_CODE
from npuc.tools.compiling.compile import compile_tflite
from npuc.tools.compiling.summary import operator_counts
from npuc.tools.errors import UserError
from npuc.tools.ir import decode_streams, load_module, make_context
from npuc.tools.profiling.bounds import bounds
from npuc.tools.profiling.profile import profile_module
from npuc.tools.sweep.plan import OURS, Combination, version
from npuc.tools.sweep.row import Row
from npuc.tools.sweep.vela import compile_by_vela

INVOCATIONS = 3
"""Of each run where the model keeps state, as npu-run makes them."""


@dataclass(frozen=True)
class Job:
    """All that is needed to make a row, on whatever machine."""

    made_of: Combination
    data: bytes
    """The model."""
    prove: bool = False
    vela: str | None = None
    """The command that runs vela."""
    cache: str | None = None
    """The folder in which vela's files are kept."""


def measure(job: Job) -> Row:
    """The row of a combination; an error that its user can do something about is a row, too."""
    start = time.perf_counter()
    try:
        row = _measured(job)
    except UserError as error:
        row = Row(job.made_of, "failed", str(error))
    return replace(row, seconds=round(time.perf_counter() - start, 3))


def _measured(job: Job) -> Row:
    made_of = job.made_of
    if made_of.compiler == OURS and made_of.version != version():
        # Not a result: another run may find a worker of the same version.
        return Row(made_of, "died", f"the worker has npuc {version()}, not {made_of.version}")
    if made_of.compiler == OURS:
        compiled = compile_tflite(job.data, made_of.target, name=made_of.model, passes=made_of.pipeline).data
    else:
        compiled = compile_by_vela(job.vela or "vela", job.data, made_of, job.cache)
    row = profiled(compiled, made_of)
    return _proven(row, compiled, job.data) if job.prove and row.counts else row


def _proven(row: Row, compiled: bytes, source: bytes) -> Row:
    try:
        wrong = difference(compiled, source)
    except UserError as error:  # the schedule may be right
        return replace(row, error=str(error))
    return replace(row, proven=wrong is None, state="done" if wrong is None else "failed", error=wrong)


def profiled(compiled: bytes, made_of: Combination) -> Row:
    """What a compiled file needs, ours or vela's, from its bytes alone; raises UserError."""
    name = made_of.model
    ctx = make_context()
    module = load_module(ctx, compiled, name, "tflite")
    cpu = sum(count for operator, count in operator_counts(module).items() if operator != CUSTOM_CODE)
    decode_streams(ctx, module, name)
    try:
        one, low, high = (
            profile_module(module, name, made_of.config, made_of.system_config, made_of.memory_mode, parameters)
            for parameters in (DEFAULT, LOW, HIGH)
        )
    except UserError as error:
        if "nothing to profile" not in str(error):
            raise
        return Row(made_of, cycles=0, cycles_low=0, cycles_high=0, sram=0, file=len(compiled), cpu_operators=cpu)
    least = bounds(one)
    return Row(
        made_of,
        cycles=one.cycles,
        cycles_low=low.cycles,
        cycles_high=high.cycles,
        milliseconds=one.milliseconds,
        sram=one.sram,
        arena=one.arena,
        file=len(compiled),
        macs=one.macs,
        utilisation=one.utilisation,
        least_cycles=least.cycles,
        least_by=least.limiting,
        cpu_operators=cpu,
    )


def difference(compiled: bytes, source: bytes) -> str | None:
    """
    What npu-run says of a compiled file beside its source in as many runs as it makes by itself: one line of what
    differs or is reported, or None.

    Raises UserError where the source cannot be run.
    """
    from npuc.simulator.compare import Comparer
    from npuc.simulator.inputs import default_runs
    from npuc.simulator.isolation import HostError
    from npuc.simulator.runner import load
    from npuc.simulator.stream import StreamError

    try:
        comparer = Comparer(load(compiled), source)
        invocations = range(INVOCATIONS if comparer.keeps_state else 1)
        for seed, invocation in product(range(default_runs(comparer.original)), invocations):
            comparison = comparer.run(seed=seed, invocation=invocation)
            if not comparison.exact:
                return f"--prove: seed {seed} differs: {(*comparison.differences, *comparison.wrong)[0]}"
            if comparison.reports:
                return f"--prove: seed {seed}: {comparison.reports[0]}"
    except HostError as error:
        raise UserError(f"--prove: no reference: {error}") from None
    except StreamError as error:
        return f"--prove: {error}"
    return None
