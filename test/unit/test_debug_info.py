"""Every command comes from an operator of the source, all passes long, and a compiled file still says so."""

import random
import zlib
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.dialects import tfl
from npuc.dialects.locations import SourceOperator, first_name, source_name, sources
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp
from npuc.dialects.npu_schedule import CascadeOp, CopyOp, KernelOp, TransferOp
from npuc.lowering.command_stream.print_asm import asm
from npuc.lowering.debug_info import SMALL, SOURCES, VERSION, decode_sources, encode_sources, host_operators, origins
from npuc.tools.ir import decode_streams, load_module, make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import EMIT, Target, pipeline

MODELS = Path(__file__).parents[1] / "models"


def load(data: bytes) -> ModuleOp:
    """A compiled file, decoded."""
    ctx = make_context()
    module = load_module(ctx, data, "file", "tflite")
    decode_streams(ctx, module, "file")
    return module


def has_origin(op: Operation) -> bool:
    """Whether an operation is one that a source operator must stand behind."""
    if op.name.startswith("tosa."):
        return op.name not in ("tosa.const", "tosa.const_shape")
    return isinstance(op, KernelOp | CopyOp | TransferOp | CascadeOp | LaunchOp | DmaOp) or tfl.is_operator(op)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("digits_cnn", Target("ethos-u65-256", memory_mode="Dedicated_Sram")),
        ("equal_in_value", Target("ethos-u55-128")),
        ("hard_swish_net", Target("ethos-u55-128")),
        ("leaky_relu_of_a_view", Target("ethos-u55-128")),
        ("many_tables", Target("ethos-u65-512")),
        ("op_conv_dilation2", Target("ethos-u55-128")),
        ("pad_then_conv", Target("ethos-u55-128")),
        ("reshape_forms", Target("ethos-u65-256")),
        ("tour", Target("ethos-u55-128", limit=24000)),
        ("two_islands", Target("ethos-u55-128")),
    ],
)
def test_no_pass_forgets_where_an_operation_comes_from(name: str, target: Target) -> None:
    ctx = make_context()
    module = load_module(ctx, (MODELS / f"{name}.tflite").read_bytes(), name, "tflite")
    before = {source.operator for op in module.walk() for source in sources(op.location)}
    seen = 0

    def look(_: int, pass_: ModulePass, module: ModuleOp) -> None:
        nonlocal seen
        if pass_.name == EMIT:
            return
        for op in module.walk():
            if has_origin(op):
                seen += 1
                known = {source.operator for source in sources(op.location)}
                assert known, f"{pass_.name} leaves {op.name} ({source_name(op.location)}) without a source operator"
                assert known <= before, f"{pass_.name}: {op.name} comes from {known - before}, which was never there"

    chain = parse_passes(pipeline(target), available_passes())
    run_passes(ctx, module, chain, file=name, verify_each=False, after=look)
    assert seen > len(chain) - 1


def test_a_compiled_file_says_what_its_commands_work_for() -> None:
    data = (MODELS / "unet.tflite").read_bytes()
    ctx = make_context()
    source = load_module(ctx, data, "unet", "tflite")
    operators = {s.operator: source_name(op.location) for op in source.walk() for s in sources(op.location)}
    module = load(compile_tflite(data, Target("ethos-u55-128")).data)
    commands = [op for program in module.ops if isinstance(program, ProgramOp) for op in origins(program)]
    served = {sources(op.location) for op in commands}
    assert {one.operator for entry in served for one in entry} <= set(operators)
    # What was fused into one kernel: the main operator first, with the tensor that is made.
    (last,) = (entry for entry in served if len(entry) > 1)
    assert [one.operator.type for one in last] == ["CONV_2D", "LOGISTIC"]
    assert last[0].tensor == operators[last[1].operator]


def test_operators_of_the_host_keep_number_name_and_reason() -> None:
    data = (MODELS / "custom_in_the_middle.tflite").read_bytes()
    ctx = make_context()
    source = load_module(ctx, data, "custom_in_the_middle", "tflite")
    names = {s.operator: tfl.tensor_name(op.results[0]) for op in source.walk() for s in sources(op.location)}
    found = compile_tflite(data, Target("ethos-u55-128"))
    module = load(found.data)
    host = host_operators(module)
    assert host
    for op in host:
        (known,) = sources(op.location)
        assert names[known.operator] == known.tensor == tfl.tensor_name(op.results[0])
    reasons = [op.attributes[tfl.CPU_REASON] for op in host]
    assert all(isinstance(reason, StringAttr) for reason in reasons)
    assert len(reasons) == len(found.summary.cpu_reasons)


def entry(data: bytes) -> bytes | None:
    """The metadata entry of a compiled file."""
    module = load_module(make_context(), data, "file", "tflite")
    entries = module.attributes["tfl.metadata"]
    assert isinstance(entries, ArrayAttr)
    for one in entries.data:
        assert isinstance(one, DictionaryAttr)
        if one.data["name"] == StringAttr(SOURCES):
            blob = one.data["data"]
            assert isinstance(blob, tfl.ConstBytesAttr)
            return blob.data
    return None


def test_the_entry_is_small_and_can_be_left_out() -> None:
    data = (MODELS / "digits_cnn.tflite").read_bytes()
    compiled = compile_tflite(data, Target("ethos-u55-128")).data
    blob = entry(compiled)
    assert blob is not None
    assert len(blob) <= max(SMALL, len(compiled) // 100)
    plain = compile_tflite(data, Target("ethos-u55-128", debug_info=False)).data
    assert entry(plain) is None
    commands = [op for op in load(plain).walk() if isinstance(op, LaunchOp)]
    assert commands
    assert not any(source_name(op.location) for op in commands)


def test_tensors_lose_their_names_before_the_entry_is_too_large() -> None:
    module = load(compile_tflite((MODELS / "digits_cnn.tflite").read_bytes(), Target("ethos-u55-128")).data)
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    whole = encode_sources(programs, [], 1 << 20)
    first = encode_sources(programs, [], len(whole) - 1)
    bare = encode_sources(programs, [], len(first) - 1)
    assert len(whole) > len(first) > len(bare) > 0
    assert encode_sources(programs, [], len(bare) - 1) == b""
    known = [
        [sources(location)[0] for runs in decode_sources(one).programs for location, _ in runs if location is not None]
        for one in (whole, first, bare)
    ]
    assert len({tuple(source.operator for source in one) for one in known}) == 1
    assert any(";" in source.tensor for source in known[0])
    assert [first_name(source.tensor) for source in known[0]] == [source.tensor for source in known[1]]
    assert not any(source.tensor for source in known[2])


def test_what_is_damaged_is_refused() -> None:
    blob = entry(compile_tflite((MODELS / "digits_cnn.tflite").read_bytes(), Target("ethos-u55-128")).data)
    assert blob is not None
    inner = zlib.decompress(blob[1:])
    draw = random.Random(3)
    refused = 0
    for _ in range(300):
        changed = bytearray(inner)
        changed[draw.randrange(len(changed))] = draw.randrange(256)
        if draw.random() < 0.2:
            del changed[draw.randrange(len(changed)) :]
        try:
            decode_sources(blob[:1] + zlib.compress(bytes(changed)))
        except ValueError:
            refused += 1
    assert refused > 20
    for wrong in (
        b"",
        bytes([VERSION - 1]) + blob[1:],
        bytes([VERSION + 1]) + blob[1:],
        blob[:-3],
        blob + b"x",
        blob[:1] + b"nothing",
    ):
        with pytest.raises(ValueError, match=r"^it "):
            decode_sources(wrong)


def test_damaged_names_do_not_keep_a_sound_file_from_being_read(capsys: pytest.CaptureFixture[str]) -> None:
    compiled = compile_tflite((MODELS / "digits_cnn.tflite").read_bytes(), Target("ethos-u55-128")).data
    other = compile_tflite((MODELS / "tour.tflite").read_bytes(), Target("ethos-u55-128")).data
    blob = entry(compiled)
    assert blob is not None
    cut = bytearray(compiled)
    at = compiled.index(blob)
    cut[at + len(blob) // 2] ^= 0xFF
    ctx = make_context()
    foreign = load_module(ctx, other, "other", "tflite").attributes["tfl.metadata"]
    sound = load(compiled)
    for data, metadata, why in (
        (compiled, foreign, "it is about another number of commands"),
        (bytes(cut), None, "it "),
    ):
        module = load_module(ctx, data, "file", "tflite")
        if metadata is not None:
            module.attributes["tfl.metadata"] = metadata
        streams = asm(module)
        decode_streams(ctx, module, "file")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"file: warning: metadata {SOURCES}: {why}")
        commands = [op for op in module.walk() if isinstance(op, LaunchOp | DmaOp)]
        assert len(commands) == sum(isinstance(op, LaunchOp | DmaOp) for op in sound.walk()) > 0
        assert not any(sources(op.location) for op in commands)
        assert streams.count("NPU_OP_") >= len(commands)


def test_operators_have_the_numbers_of_the_file() -> None:
    module = load_module(make_context(), (MODELS / "op_conv_relu.tflite").read_bytes(), "model", "tflite")
    (conv,) = (op for op in module.walk() if tfl.is_operator(op))
    assert [one.operator for one in sources(conv.location)] == [SourceOperator(0, 0, "CONV_2D")]
