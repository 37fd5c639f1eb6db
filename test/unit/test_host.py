"""When the host needs its values, and what that leaves to regions."""

from __future__ import annotations

import pytest
from tiny_writer import Model, Op, Subgraph, Tensor
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from npuc.analysis import host
from npuc.analysis.host import HostTimes, Span, held_by_host, host_peak, host_times
from npuc.analysis.live_ranges import live_ranges
from npuc.dialects.npu import InvokeOp
from npuc.tools.errors import UserError
from npuc.tools.ir import make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

TYPES = """
!s = tensor<16xi8>
!m = tensor<100xi8>
"""
REGION = """
func.func private @npu_0(%x: !s) -> !s attributes {npu.region} {
  func.return %x : !s
}
"""


def parse(text: str) -> ModuleOp:
    module = Parser(make_context(), TYPES + text + REGION).parse_module()
    module.verify()
    return module


def lives(host: HostTimes) -> dict[str, tuple[int, int]]:
    return {value.name_hint or "": (one.start, one.end) for value, one in host.values.items()}


def test_values_live_from_their_maker_to_their_last_reader() -> None:
    host = host_times(parse("""
    func.func @main(%x: !s, %unread: !s) -> !s {
      %k = tfl.pseudo_const dense<1> : tensor<16xi8>
      %state = tfl.pseudo_tensor {is_variable} : () -> !s
      %unmade = tfl.pseudo_tensor : () -> !m
      %a = tfl.add %x, %k : (!s, tensor<16xi8>) -> !s
      %dead = tfl.builtin %a, %state {operator = "SVDF"} : (!s, !s) -> !s
      %open = tfl.builtin %a {operator = "UNIQUE"} : (!s) -> tensor<?xi8>
      %handle = tfl.builtin {operator = "VAR_HANDLE"} : () -> tensor<2x!tfl.opaque<RESOURCE>>
      %text = tfl.builtin %unmade {operator = "AS_STRING"} : (!m) -> tensor<2x!tfl.opaque<STRING>>
      %y = npu.invoke @npu_0(%x) : (!s) -> !s
      func.return %y : !s
    }"""))  # fmt: skip
    assert lives(host) == {
        "x": (0, 9), "unread": (0, 0), "unmade": (0, 8), "a": (4, 6), "dead": (5, 5), "handle": (7, 7), "y": (9, 10),
    }  # fmt: skip
    sizes = {value.name_hint: one.size for value, one in host.values.items()}
    assert (sizes["unmade"], sizes["handle"]) == (100, 8)


LOOP = """
func.func @main(%x: !m) -> !s {
  %y = npu.invoke @npu_0(%s) : (!s) -> !s
  %s = tfl.builtin %x {operator = "FLOOR"} : (!m) -> !s
  %w = tfl.builtin %x {operator = "WHILE", options = {cond = @cond, body = @body}} : (!m) -> !m
  %v = tfl.builtin %w {operator = "CAST"} : (!m) -> !s
  %z = tfl.builtin %v {operator = "WHILE", options = {cond = @cond, body = @body}} : (!s) -> !s
  func.return %z : !s
}
func.func @cond(%p: !m) -> tensor<1xi1> {
  %q = tfl.builtin %p {operator = "ANY"} : (!m) -> tensor<1xi1>
  func.return %q : tensor<1xi1>
}
func.func @body(%t: !m) -> !m {
  %u = tfl.builtin %t {operator = "WHILE", options = {cond = @cond, body = @body}} : (!m) -> !m
  func.return %u : !m
}
func.func @nobody(%f: !m) -> !m {
  func.return %f : !m
}
"""


def test_functions_run_within_the_operator_that_names_them() -> None:
    """Also those that run again, or within themselves; what nothing names comes last."""
    text = LOOP.replace("  %y = npu.invoke @npu_0(%s) : (!s) -> !s\n", "").replace(
        "  %w = ", "  %y = npu.invoke @npu_0(%s) : (!s) -> !s\n  %w = "
    )
    found = lives(host_times(parse(text)))
    assert found["x"] == (0, 7)
    assert found["w"][0] == 3
    # @cond runs in the first WHILE, in that of @body, and in the second.
    assert found["p"] == (3, 9)
    assert found["q"] == (4, 9)
    assert found["t"] == (5, 9)
    assert found["v"] == (8, 9)
    assert found["z"][0] == 9
    assert found["f"][0] > found["z"][1]


def test_what_is_held_across_a_region() -> None:
    """Values of operators of the host count as well, in whole units of the arena."""
    module = parse("""
    func.func @main(%x: !s) -> (!s, !s) {
      %kept = tfl.builtin %x {operator = "FLOOR"} : (!s) -> !m
      %y = npu.invoke @npu_0(%x) : (!s) -> !s
      %z = tfl.builtin %kept {operator = "CEIL"} : (!m) -> !s
      %v = tfl.builtin %x {operator = "CEIL"} : (!s) -> !s
      func.return %y, %z : !s, !s
    }""")
    held = held_by_host(module)["npu_0"]
    assert held.size == 112
    assert held.arguments == {0}
    assert host_peak(module) == 112 + 3 * 16


def test_no_region_no_plan() -> None:
    module = parse("func.func @main(%x: !s) -> !s { func.return %x : !s }")
    assert host_times(module).values == {}
    assert live_ranges(module).items == []


def test_a_program_that_runs_twice_keeps_its_buffers() -> None:
    module = Parser(make_context(), TYPES + """
    func.func @main(%x: !s) -> !s {
      %y = npu.invoke @p(%x) : (!s) -> !s
      %z = tfl.abs %y : (!s) -> !s
      %v = npu.invoke @p(%z) : (!s) -> !s
      func.return %v : !s
    }
    npu_cmd.program @p {
      %i = npu_cmd.input index <0> : !npu.buffer<16, arena>
      %o = npu_cmd.output index <0> : !npu.buffer<16, arena>
      %t = npu_cmd.alloc : !npu.buffer<32, arena>
      npu_cmd.stop
    }""").parse_module()  # fmt: skip
    found = live_ranges(module)
    invokes = [span for op, span in host_times(module, lambda _: 5).spans.items() if isinstance(op, InvokeOp)]
    own = next(item for item in found.items if item.value is None)
    assert (own.start, own.end) == (invokes[0].start + 2, invokes[1].end)


@pytest.mark.parametrize("depth", [1200])
def test_functions_nested_deeply(depth: int) -> None:
    functions = "".join(
        f"""func.func @f{n}(%x{n}: !s) -> !s {{
          %y{n} = tfl.builtin %x{n} {{operator = "IF", options = {{then_subgraph_index = @f{n + 1}}}}} : (!s) -> !s
          func.return %y{n} : !s
        }}
        """
        for n in range(depth)
    )
    last = f"func.func @f{depth}(%last: !s) -> !s {{ %r = npu.invoke @npu_0(%last) : (!s) -> !s func.return %r : !s }}"
    assert len(host_times(parse(functions + last)).values) == 2 * depth + 2


def test_a_function_that_many_operators_run_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, length = 100, 60
    main = "".join(
        f'%y{n + 1} = tfl.builtin %y{n} {{operator = "IF", options = {{then_subgraph_index = @f}}}} : (!s) -> !s\n'
        for n in range(runs)
    )
    body = "".join(f"%t{n + 1} = tfl.abs %t{n} : (!s) -> !s\n" for n in range(length))
    spans = 0

    def counted(start: int, end: int) -> Span:
        nonlocal spans
        spans += 1
        return Span(start, end)

    monkeypatch.setattr(host, "Span", counted)
    found = host_times(
        parse(f"""
    func.func @main(%y0: !s) -> !s {{ {main} %z = npu.invoke @npu_0(%y{runs}) : (!s) -> !s func.return %z : !s }}
    func.func @f(%t0: !s) -> !s {{ {body} func.return %t{length} : !s }}""")
    )
    assert spans < 4 * (runs + length)
    last = max(span.start for op, span in found.spans.items() if op.name == "tfl.builtin")
    assert {end for name, (_, end) in lives(found).items() if name.startswith("t")} == {last}


def test_tensors_of_the_host_beyond_what_the_npu_addresses() -> None:
    """The message is about the tensors, not about a limit that nobody gave."""
    x, y = (Tensor(name, (1, 70000, 70000), "float32") for name in "xy")
    a, b = (Tensor(name, (1, 4, 4, 8), "int8", 0.5, 0) for name in "ab")
    model = Model(Subgraph([x, a], [y, b], [Op("RELU", [x], [y]), Op("RELU", [a], [b])]))
    message = "39200000128 bytes must be held at one time, ethos-u55-128 addresses 4294967296"
    with pytest.raises(UserError, match=message):
        compile_tflite(model.to_bytes(), Target("ethos-u55-128"))
