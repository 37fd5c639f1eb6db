"""
Damaged TFLite files end in a module or in one line: never another exception, a hang, or memory out of proportion.

What still loads goes through verification and the partition too, because a damaged file may be a legal one that says
something odd. Mutations are seeded, so a failure repeats.
"""

import random
import re
import resource
import signal
import time
from collections.abc import Iterator
from itertools import islice
from types import FrameType
from typing import Any

import pytest

from npuc.lowering.tflite.tflite_schema import TFLiteError, read_model
from npuc.passes.tfl_partition import TflPartitionPass
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.verification import verify

MODELS = """
    bias_axis_3 custom_in_the_middle float_in_the_middle if_with_subgraphs metadata open_batch_net ranks stateful
    strange_names op_average_pool_same op_concat_channels op_conv_3x3 op_fully_connected_no_bias op_mean_keep op_pad
    op_resize_x2 op_softmax op_split_channels op_strided_slice_masks op_transpose_conv
""".split()
MUTATIONS_EACH = 125
SECONDS_EACH = 30


def mutations(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """One damaged copy after the other, most of them where the structure is rather than the weights."""
    structure = [i for i in range(0, len(data) - 4, 4) if int.from_bytes(data[i : i + 4], "little") < len(data)]
    for _ in range(MUTATIONS_EACH):
        copy = bytearray(data)
        match rng.randrange(8):
            case 0:
                del copy[rng.randrange(len(copy)) :]
            case 1:
                start = rng.randrange(len(copy))
                del copy[start : start + rng.randrange(1, 64)]
            case 2:
                start = rng.randrange(len(copy))
                copy[start:start] = rng.randbytes(rng.randrange(1, 64))
            case 3 | 4:  # an offset, a length or a small number
                start = rng.choice(structure)
                value = rng.choice([0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rng.randrange(len(copy))])
                copy[start : start + 4] = value.to_bytes(4, "little")
            case 5:  # two words change places
                a, b = rng.choice(structure), rng.choice(structure)
                copy[a : a + 4], copy[b : b + 4] = copy[b : b + 4], copy[a : a + 4]
            case _:
                for _ in range(rng.choice([1, 1, 2, 8])):
                    position = rng.choice(structure) + rng.randrange(4)
                    copy[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        yield bytes(copy)


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError("a damaged file took too long")

    previous = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def attempt(data: bytes) -> str:
    """`refused`, or `loaded`; any other exception than a UserError of one line is the test's failure."""
    ctx = make_context()
    signal.alarm(SECONDS_EACH)
    try:
        module = load_module(ctx, data, "model.tflite")
        verify(module)
    except UserError as error:
        line = str(error)
    else:
        TflPartitionPass().apply(ctx, module)
        verify(module)
        return "loaded"
    assert line.startswith("model.tflite: ")
    assert "\n" not in line
    return "refused"


def test_mutated_models(models: dict[str, Any]) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = random.Random(20240229)
    results = {"refused": 0, "loaded": 0}
    for name in MODELS:
        data = models[name].path.read_bytes()
        assert attempt(data) == "loaded"
        for mutated in mutations(data, rng):
            results[attempt(mutated)] += 1
    assert sum(results.values()) >= 2000
    assert min(results.values()) >= 300  # both kinds are well represented
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # KiB


def test_mutated_models_compile_or_are_refused(models: dict[str, Any]) -> None:
    """What the partition takes of an odd model, the lowering must manage: a failure there is the compiler's fault."""
    rng = random.Random(20250101)
    compiled = 0
    for name in MODELS:
        for mutated in islice(mutations(models[name].path.read_bytes(), rng), 20):
            signal.alarm(SECONDS_EACH)
            try:
                compile_tflite(mutated)
            except UserError as error:
                line = str(error)
            else:
                compiled += 1
                continue
            assert len(line.splitlines()) == 1
            assert not re.search("internal error|convert-|npu[-_]|NPU", line), line
    assert compiled >= 50


def test_every_truncation(models: dict[str, Any]) -> None:
    data = models["op_add"].path.read_bytes()
    for size in range(len(data) - 1):
        assert attempt(data[:size]) == "refused", size


def test_endless_tables_end_quickly(models: dict[str, Any]) -> None:
    """A vector of tables whose length is as large as the file allows, each entry pointing back at the same table."""
    data = bytearray(models["op_add"].path.read_bytes() + bytes(2_000_000))
    tensors = next(
        i for i in range(0, len(data) - 8, 4)
        if int.from_bytes(data[i : i + 4], "little") == 3 and is_tensor_vector(bytes(data), i)
    )  # fmt: skip
    target = tensors + 4 + int.from_bytes(data[tensors + 4 : tensors + 8], "little")
    count = 400_000
    start = len(data) - 4 * count - 4
    data[start : start + 4] = count.to_bytes(4, "little")
    for index in range(count):
        position = start + 4 + 4 * index
        data[position : position + 4] = ((target - position) % 2**32).to_bytes(4, "little")
    for pointer in range(0, tensors, 4):
        if pointer + int.from_bytes(data[pointer : pointer + 4], "little") == tensors:
            data[pointer : pointer + 4] = (start - pointer).to_bytes(4, "little")
    started = time.perf_counter()
    with pytest.raises(TFLiteError):
        read_model(bytes(data))
    assert time.perf_counter() - started < 20


def is_tensor_vector(data: bytes, position: int) -> bool:
    """Whether setting the length of this vector to 0 leaves a model without tensors."""
    copy = bytearray(data)
    copy[position : position + 4] = bytes(4)
    try:
        return not read_model(bytes(copy))["subgraphs"][0]["tensors"]
    except TFLiteError:
        return False
