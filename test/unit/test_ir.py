"""Texts that are wrong end in one line with a place; texts for reading leave out what nobody reads."""

import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, i8

from npuc.dialects.constants import from_bytes
from npuc.dialects.tfl import PseudoConstOp
from npuc.tools.errors import UserError
from npuc.tools.ir import elided_text, load_module, make_context
from npuc.tools.passes import PassFailure, available_passes, parse_passes, run_passes
from npuc.tools.verification import verify

WRONG = {
    "func.func @f(": r"text:1:14: ",
    "func.func @f() {\n  tfl.nothing\n}": r"text:2:3: Operation tfl.nothing is not registered",
    "func.func @f(%a: !tfl.nothing) { return }": r"text:1:\d+: 'tfl.nothing' is not registered",
    "func.func @f(%a: tensor<1x!quant.uniform<i8:f32, 0.0>>) { return }": r"text:1:\d+: quantised scales must",
    "func.func @f() attributes {a = dense<0> : tensor<99999999999xi8>} { return }": r"text:1:\d+: a constant may have",
    "func.func @f() attributes {a = dense<256> : tensor<1xui8>} { return }": r"text:1:\d+: Integer value 256 is out",
    "{-# external_resources: {} #-}": r"text:1:\d+: .*resources",
    "func.func @f() attributes {a = " + "[" * 5000 + "} { return }": r"text: nested too deeply",
    'func.func @f() attributes {a = "\\FF"} {\n  "test.op"() : () -> ()\n}': r"text:2:",
    "func.func @f() { return }\nfunc.func @f() { return }": r"text: 'builtin.module': Redefinition of symbol",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_one_line_that_says_where(text: str) -> None:
    def load() -> None:
        verify(load_module(make_context(), text.encode(), "text"), "text")

    with pytest.raises(UserError, match=WRONG[text]) as error:
        load()
    assert len(str(error.value).splitlines()) == 1


def test_a_value_does_not_leave_its_region() -> None:
    """The parser would not take such a text, but a pass can make it."""
    text = """
        func.func @f() { %a = tfl.pseudo_tensor : () -> tensor<4xi8> return }
        func.func @g() -> tensor<4xi8> { %a = tfl.pseudo_tensor : () -> tensor<4xi8> return %a : tensor<4xi8> }"""
    module = load_module(make_context(), text.encode(), "text")
    verify(module, "text")
    made, used = (next(op for op in module.walk() if op.name == "tfl.pseudo_tensor"), list(module.walk())[-1])
    used.operands[0] = made.results[0]
    with pytest.raises(UserError, match=r"^text:3:\d+: 'func.return': operand 0 %a .*: 'tfl.pseudo_tensor' does"):
        verify(module, "text")


FAILING = {
    # said by the pass itself, of an operation
    """%y = npu_schedule.concat %x, %x {axis = #npu.ints<3>}
            : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x16xi8>""": (
        "tensor<1x4x4x16xi8>",
        "convert-npu-schedule-to-npu-cmd",
        "'npu_schedule.concat': an argument cannot be placed by it: copy it first",
    ),
    # said by a helper that does not know which operation it works for
    """%y = tosa.avg_pool2d %x, %z, %z {kernel = array<i64: 1, 1>, stride = array<i64: 1, 1>,
            pad = array<i64: 0, 0, 0, 0>, acc_type = i32}
            : (tensor<1x4x4x8xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x8xi8>""": (
        "tensor<1x4x4x8xi8>",
        "convert-tosa-to-npu-schedule",
        "'tosa.avg_pool2d': the NPU needs a zero point to be constant",
    ),
}


@pytest.mark.parametrize("text", FAILING, ids=range(len(FAILING)))
@pytest.mark.parametrize("name", ["", "pool"])
def test_what_a_pass_refuses_is_placed(text: str, name: str) -> None:
    result, pass_, message = FAILING[text]
    named = f' loc("{name}")' if name else ""
    whole = f"""module attributes {{npu.target = #npu.target<"ethos-u55-64">}} {{
      func.func @f(%x: tensor<1x4x4x8xi8>, %z: tensor<1xi8>) -> {result} attributes {{npu.region}} {{
        {text}{named}
        return %y : {result}
      }}
    }}"""
    module = load_module(make_context(), whole.encode(), "text")
    with pytest.raises(PassFailure) as failure:
        run_passes(make_context(), module, parse_passes(pass_, available_passes()), file="text")
    place = f"text: '{name}'" if name else "text:3:9"
    assert failure.value.message == f"{place}: {pass_}: {message}"
    assert not failure.value.details


def test_names_in_any_script() -> None:
    text = 'func.func @f() { %0 = tfl.pseudo_tensor : () -> tensor<4xi8> loc("größe_畳み込み") return }'
    module = load_module(make_context(), text.encode(), "text")
    (op,) = (op for op in module.walk() if op.name == "tfl.pseudo_tensor")
    assert str(op.location) == 'loc("gr\\C3\\B6\\C3\\9Fe_\\E7\\95\\B3\\E3\\81\\BF\\E8\\BE\\BC\\E3\\81\\BF")'
    again = load_module(make_context(), f"module attributes {{a = {str(op.location)[4:-1]}}} {{}}".encode(), "text")
    assert again.attributes["a"].data == "größe_畳み込み"  # type: ignore


def test_a_long_string_without_an_end_is_an_error_at_once() -> None:
    """The time for it must not double with each character."""
    with pytest.raises(UserError, match=r"text:1:24: End of file reached before closing string literal"):
        load_module(make_context(), f'module attributes {{a = "{"0" * 100_000}'.encode(), "text")


def test_large_constants_and_long_scales_are_left_out() -> None:
    scales = ", ".join(["0.5"] * 40)
    text = f"func.func @f(%a: tensor<40x!quant.uniform<i8:f32:0, {{{scales}}}>>) {{ return }}"
    assert "{0.5, 0.5, ...}" in elided_text(load_module(make_context(), text.encode(), "text"))
    for size, shown in ((64, False), (65, True)):
        op = PseudoConstOp(from_bytes(TensorType(i8, [size]), bytes(size)))
        assert ("__elided__" in elided_text(ModuleOp([op]))) is shown
