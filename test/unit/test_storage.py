"""Placements: byte offsets and strides of views, checked against NumPy views of the same shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func, FuncOp
from xdsl.parser import Parser

from npuc.analysis.storage import Storage, reshaped_strides
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import NPU, IntsAttr
from npuc.dialects.npu_schedule import NPU_SCHEDULE


def function(text: str) -> FuncOp:
    context = Context()
    for dialect in (Builtin, Func, NPU, NPU_SCHEDULE):
        context.load_dialect(dialect)
    found = Parser(context, text).parse_op()
    found.verify()
    assert isinstance(found, FuncOp)
    return found


def named(func: FuncOp) -> dict[str, object]:
    return {result.name_hint: result for op in func.walk() for result in op.results if result.name_hint}


def test_operands_of_a_concat_lie_in_its_result() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>, %y: tensor<1x4x4x3xi8>) -> tensor<1x4x4x11xi8> {
        %a = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        %b = npu_schedule.copy %y : tensor<1x4x4x3xi8> -> tensor<1x4x4x3xi8>
        %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
             : (tensor<1x4x4x8xi8>, tensor<1x4x4x3xi8>) -> tensor<1x4x4x11xi8>
        func.return %c : tensor<1x4x4x11xi8>
      }""")
    storage, at = Storage(func), named(func)
    assert storage.members(at["c"]) == [at["a"], at["b"], at["c"]]
    assert storage.place(at["b"]).offset == 8
    assert storage.place(at["b"]).strides == (176, 44, 11, 1)
    assert len(storage.roots) == 3


def test_a_reshape_on_the_way_to_a_concat_is_placed_with_it() -> None:
    """Boxes of a detector: 1x2x2x12 is seen as 1x1x16x3 and laid behind 8 others."""
    func = function("""
      func.func @npu_0(%x: tensor<1x2x2x12xi8>, %y: tensor<1x1x8x3xi8>) -> tensor<1x1x24x3xi8> {
        %a = npu_schedule.copy %y : tensor<1x1x8x3xi8> -> tensor<1x1x8x3xi8>
        %k = npu_schedule.copy %x : tensor<1x2x2x12xi8> -> tensor<1x2x2x12xi8>
        %b = npu_schedule.reshape %k : tensor<1x2x2x12xi8> -> tensor<1x1x16x3xi8>
        %c = npu_schedule.concat %a, %b {axis = #npu.ints<2>}
             : (tensor<1x1x8x3xi8>, tensor<1x1x16x3xi8>) -> tensor<1x1x24x3xi8>
        func.return %c : tensor<1x1x24x3xi8>
      }""")
    storage, at = Storage(func), named(func)
    assert storage.root(at["k"]) is at["c"]
    assert storage.place(at["k"]).offset == 24
    assert storage.place(at["k"]).strides[1:] == (24, 12, 1)


def test_slices_step_through_their_source() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x8x8x32xi16>) -> tensor<1x3x4x8xi16> {
        %s = npu_schedule.slice %x {offsets = #npu.ints<1, 0, 16>, strides = #npu.ints<2, 2, 1>}
             : tensor<1x8x8x32xi16> -> tensor<1x3x4x8xi16>
        %r = npu_schedule.copy %s : tensor<1x3x4x8xi16> -> tensor<1x3x4x8xi16>
        func.return %r : tensor<1x3x4x8xi16>
      }""")
    storage, at = Storage(func), named(func)
    place = storage.place(at["s"])
    assert place.root is func.args[0]
    assert (place.offset, place.stride_y, place.stride_x, place.stride_c) == (512 + 32, 1024, 128, 2)


def test_bricks_go_row_brick_column_channel() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x6x40xi8, #npu.layout<nhcwb16>>) -> tensor<1x2x6x24xi8> {
        %s = npu_schedule.slice %x {offsets = #npu.ints<2, 0, 16>, strides = #npu.ints<1, 1, 1>}
             : tensor<1x4x6x40xi8, #npu.layout<nhcwb16>> -> tensor<1x2x6x24xi8, #npu.layout<nhcwb16>>
        %r = npu_schedule.copy %s : tensor<1x2x6x24xi8, #npu.layout<nhcwb16>> -> tensor<1x2x6x24xi8>
        func.return %r : tensor<1x2x6x24xi8>
      }""")
    storage, at = Storage(func), named(func)
    place = storage.place(at["s"])
    assert (place.offset, place.stride_y, place.stride_x, place.stride_c) == (2 * 288 + 96, 288, 16, 96)


def test_what_a_cascade_yields_lies_in_its_result() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {
        %c = npu_schedule.cascade -> tensor<1x4x4x8xi8> {
          %k = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
               : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
          npu_schedule.yield %k : tensor<1x4x4x8xi8>
        }
        func.return %c : tensor<1x4x4x8xi8>
      }""")
    storage, at = Storage(func), named(func)
    assert storage.root(at["k"]) is at["c"]


def test_columns_that_do_not_lie_side_by_side_are_no_channels() -> None:
    """One channel of two, seen as a row of channels, would need a stride from channel to channel."""
    func = function("""
      func.func @npu_0(%x: tensor<1x4x4x2xi8>) -> tensor<1x1x1x16xi8> {
        %s = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 1>, strides = #npu.ints<1, 1, 1>}
             : tensor<1x4x4x2xi8> -> tensor<1x4x4x1xi8>
        %r = npu_schedule.reshape %s : tensor<1x4x4x1xi8> -> tensor<1x1x1x16xi8>
        %k = npu_schedule.copy %r : tensor<1x1x1x16xi8> -> tensor<1x1x1x16xi8>
        func.return %k : tensor<1x1x1x16xi8>
      }""")
    storage = Storage(func)
    with pytest.raises(OperationError, match=r"^npu_schedule.reshape: .* cannot be seen as .*: copy it first"):
        storage.place(named(func)["r"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "%c = npu_schedule.concat %k, %k {axis = #npu.ints<3>} : (T, T) -> U",
            "copy: its result is placed twice",
        ),
        (
            "%c = npu_schedule.concat %x, %k {axis = #npu.ints<3>} : (T, T) -> U",
            "concat: an argument cannot be placed",
        ),
    ],
)
def test_a_missing_copy_is_named(body: str, message: str) -> None:
    types = {"(T": "(tensor<1x4x4x8xi8>", ", T": ", tensor<1x4x4x8xi8>", "U": "tensor<1x4x4x16xi8>"}
    for short, long in types.items():
        body = body.replace(short, long)
    func = function(f"""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x16xi8> {{
        %k = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        {body}
        func.return %c : tensor<1x4x4x16xi8>
      }}""")
    storage = Storage(func)
    with pytest.raises(OperationError, match=message):
        _ = storage.roots


@examples(300)
@given(st.data())
def test_reshaped_strides_are_those_of_a_numpy_view(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4))
    whole = np.arange(np.prod([n + 1 for n in shape]), dtype=np.int16).reshape([n + 1 for n in shape])
    view = whole[tuple(slice(0, n + data.draw(st.integers(0, 1))) for n in shape)]
    factors = [n for size in view.shape for n in _factors(size)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(factors)), max_size=3)))
    new = [int(np.prod(factors[a:b])) for a, b in zip([0, *cuts], [*cuts, len(factors)], strict=True)]
    found = reshaped_strides(view.shape, view.strides, new, 2)
    try:
        expected = view.view()
        expected.shape = tuple(new)
    except AttributeError:
        assert found is None
        return
    assert found is not None
    real = [(a, b) for n, a, b in zip(new, found, expected.strides, strict=True) if n > 1]
    assert all(a == b for a, b in real)


def _factors(n: int) -> list[int]:
    return next(([p, *_factors(n // p)] for p in (2, 3, 5, 7) if n % p == 0), [])


IN_PLACE = """
  func.func @npu_0(%x: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) {{
    %a = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
    %b = npu_schedule.elementwise abs %a zero_points <0, 0> activation <-128, 127> in_place <0>
         : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
    %c = npu_schedule.copy %{read} : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
    func.return %b, %c : tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>
  }}"""


def test_an_ofm_in_place_lies_where_its_operand_lies() -> None:
    func = function(IN_PLACE.format(read="b"))
    storage, at = Storage(func), named(func)
    assert storage.members(at["a"]) == [at["a"], at["b"]]


def test_what_was_overwritten_cannot_be_read() -> None:
    with pytest.raises(OperationError, match=r"elementwise: it overwrites in place what npu_schedule.copy reads later"):
        _ = Storage(function(IN_PLACE.format(read="a"))).roots


@pytest.mark.parametrize(
    ("views", "operand", "refused"),
    [
        # Its own row 1, and the same bytes in another order of rows and columns.
        (["%s = slice %a at 1, 0, 0 : 1x4x8"], "%s : 1x4x8", True),
        (["%r = reshape %a : 2x8x8", "%s = slice %r at 1, 0, 0 : 1x4x8"], "%s : 1x4x8", True),
        (["%s = slice %a at 0, 1, 0 : 4x1x8"], "%s : 4x1x8", True),
        (["%s = slice %a at 0, 0, 0 : 4x4x1"], "%s : 4x4x1", True),
        # Itself, and a view of all of it.
        ([], "%a : 4x4x8", False),
        (["%r = reshape %a : 2x8x8", "%s = reshape %r : 4x4x8"], "%s : 4x4x8", False),
        (["%s = slice %a at 0, 0, 0 : 4x4x8"], "%s : 4x4x8", False),
    ],
)
def test_what_a_kernel_reads_elsewhere_cannot_be_overwritten_by_it(
    views: list[str], operand: str, refused: bool
) -> None:
    types = {"%a": "tensor<1x4x4x8xi8>"}
    lines: list[str] = []
    for view in views:
        made, type_ = view.split(" : ")
        name, _, kind, source, *rest = made.split(" ")
        types[name] = f"tensor<1x{type_}xi8>"
        place = f" {{offsets = #npu.ints<{' '.join(rest[1:])}>, strides = #npu.ints<1, 1, 1>}}" if rest else ""
        lines.append(f"{name} = npu_schedule.{kind} {source}{place} : {types[source]} -> {types[name]}")
    name = operand.split(" ")[0]
    body = "\n".join(lines)
    func = function(f"""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {{
        %a = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        {body}
        %b = npu_schedule.elementwise max %a, {name} zero_points <0, 0, 0> activation <-128, 127> in_place <0>
             : (tensor<1x4x4x8xi8>, {types[name]}) -> tensor<1x4x4x8xi8>
        func.return %b : tensor<1x4x4x8xi8>
      }}""")
    storage, at = Storage(func), named(func)
    if refused:
        with pytest.raises(OperationError, match=r"elementwise: it overwrites in place what it reads as operand 1"):
            _ = storage.roots
    else:
        assert storage.root(at["b"]) is at["a"]
        assert set(storage.roots) == {func.args[0], at["a"]}


def test_another_half_of_the_same_memory_may_be_read_by_what_overwrites_one() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {
        %a = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        %k = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        %c = npu_schedule.concat %a, %k {axis = #npu.ints<1>}
             : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x8x4x8xi8>
        %b = npu_schedule.elementwise max %a, %k zero_points <0, 0, 0> activation <-128, 127> in_place <0>
             : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
        %r = npu_schedule.copy %b : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        func.return %r : tensor<1x4x4x8xi8>
      }""")
    storage, at = Storage(func), named(func)
    assert storage.members(at["c"]) == [at["a"], at["k"], at["c"], at["b"]]


@pytest.mark.parametrize("first", ["deepest", "outermost"])
def test_views_of_views_concats_in_concats_and_kernels_in_place_can_be_any_number_deep(first: str) -> None:
    """Asked for in either order; a recursion of three calls a level would not end."""
    depth = 400
    x, one = "tensor<1x1x1x1xi8>", "tensor<1x1x1x{n}xi8>"
    lines = ["%c1 = npu_schedule.copy %x : T -> T"]
    for n in range(2, depth):
        lines.append(f"%k{n} = npu_schedule.copy %x : T -> T")
        type_ = one.format(n=n)
        lines.append(
            f"%c{n} = npu_schedule.concat %c{n - 1}, %k{n} {{axis = #npu.ints<3>}}"
            f" : ({one.format(n=n - 1)}, T) -> {type_}"
        )
    lines.append("%v0 = npu_schedule.copy %x : T -> T")
    for n in range(1, depth):
        lines.append(f"%v{n} = npu_schedule.elementwise abs %v{n - 1} zero_points <0, 0> activation <-128, 127>")
        lines.append("in_place <0> : (T) -> T")
    lines.append("%s0 = npu_schedule.copy %x : T -> T")
    for n in range(1, depth):
        lines.append(f"%s{n} = npu_schedule.slice %s{n - 1}")
        lines.append("{offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : T -> T")
    body = "\n".join(lines).replace("T", x)
    func = function(f"func.func @npu_0(%x: {x}) {{ {body} func.return }}")
    storage, at = Storage(func), named(func)
    values = [at["c1"], at[f"v{depth - 1}"], at[f"s{depth - 1}"]]
    if first == "deepest":
        assert [storage.root(value) for value in values] == [at[f"c{depth - 1}"], at["v0"], at["s0"]]
    assert len(storage.roots) == 4


def test_what_moves_is_found_anew_with_all_that_lies_in_it() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x4x8xi8>) {
        %a = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
        %b = npu_schedule.elementwise abs %a zero_points <0, 0> activation <-128, 127>
             : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
        %r = npu_schedule.reshape %b : tensor<1x4x4x8xi8> -> tensor<1x2x8x8xi8>
        %s = npu_schedule.slice %r {offsets = #npu.ints<1, 0, 0>, strides = #npu.ints<1, 1, 1>}
             : tensor<1x2x8x8xi8> -> tensor<1x1x8x8xi8>
        %c = npu_schedule.elementwise abs %b zero_points <0, 0> activation <-128, 127> in_place <0>
             : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
        func.return
      }""")
    storage, at = Storage(func), named(func)
    inside = [at[name] for name in ("b", "r", "s", "c")]
    assert all(storage.root(value) is at["b"] for value in inside)
    kernel = at["b"].owner
    assert storage.reusable(kernel) == 0
    kernel.in_place = IntsAttr((0,))
    assert set(storage.moved(at["b"])) == set(inside)
    assert all(storage.root(value) is at["a"] for value in inside)
    assert storage.place(at["s"]).offset == 64
    assert storage.members(at["a"]) == [at["a"], *inside]


def test_a_result_is_not_written_over_what_its_views_cannot_lie_in() -> None:
    """Columns become rows, and are seen as other rows: that is the same bytes only if the kernel writes columns."""
    func = function("""
      func.func @npu_0(%x: tensor<1x2x12x3xi8>, %y: tensor<1x2x12x3xi8>) {
        %a = npu_schedule.copy %x : tensor<1x2x12x3xi8> -> tensor<1x2x12x3xi8>
        %b = npu_schedule.elementwise abs %a zero_points <0, 0> activation <-128, 127>
             : (tensor<1x2x12x3xi8>) -> tensor<1x2x12x3xi8>
        %t = npu_schedule.transpose %b : tensor<1x2x12x3xi8> -> tensor<1x12x2x3xi8>
        %r = npu_schedule.reshape %t : tensor<1x12x2x3xi8> -> tensor<1x1x24x3xi8>
        %c = npu_schedule.copy %r : tensor<1x1x24x3xi8> -> tensor<1x1x24x3xi8>
        %d = npu_schedule.copy %y : tensor<1x2x12x3xi8> -> tensor<1x2x12x3xi8>
        %e = npu_schedule.elementwise abs %d zero_points <0, 0> activation <-128, 127>
             : (tensor<1x2x12x3xi8>) -> tensor<1x2x12x3xi8>
        %u = npu_schedule.transpose %e : tensor<1x2x12x3xi8> -> tensor<1x12x2x3xi8>
        %f = npu_schedule.copy %u : tensor<1x12x2x3xi8> -> tensor<1x12x2x3xi8>
        func.return
      }""")
    storage, at = Storage(func), named(func)
    assert storage.place(at["b"]).strides == (72, 3, 6, 1)
    assert storage.reusable(at["b"].owner) is None
    # Who reads only exchanged rows and columns sees them in any memory.
    assert storage.reusable(at["e"].owner) == 0


def test_two_images_are_no_feature_map_that_a_dma_could_bring() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x2x8x2xi8>) {
        %a = npu_schedule.slice %x {offsets = #npu.ints<0, 1, 0>, strides = #npu.ints<1, 1, 1>}
             : tensor<1x2x8x2xi8> -> tensor<1x2x7x2xi8>
        %b = npu_schedule.reshape %a : tensor<1x2x7x2xi8> -> tensor<2x1x7x2xi8>
        %c = npu_schedule.reshape %b : tensor<2x1x7x2xi8> -> tensor<1x2x7x2xi8>
        %d = npu_schedule.reshape %x : tensor<1x2x8x2xi8> -> tensor<2x1x8x2xi8>
        func.return
      }""")
    storage, at = Storage(func), named(func)
    assert storage.dense_source(at["c"]) is None
    assert storage.dense_source(at["d"]) is func.body.block.args[0]


def test_what_cannot_be_placed_is_as_if_it_had_not_been_tried() -> None:
    """A result and two reshapes, of which one is joined where the bytes of the other cannot be seen any more."""
    func = function("""
      func.func @npu_0(%x: tensor<1x160x1x1xi8>, %y: tensor<1x1x80x2xi8>) {
        %a = npu_schedule.copy %x : tensor<1x160x1x1xi8> -> tensor<1x160x1x1xi8>
        %b = npu_schedule.reshape %a : tensor<1x160x1x1xi8> -> tensor<1x80x2xi8>
        %c = npu_schedule.reshape %b : tensor<1x80x2xi8> -> tensor<1x1x80x2xi8>
        %d = npu_schedule.copy %y : tensor<1x1x80x2xi8> -> tensor<1x1x80x2xi8>
        %j = npu_schedule.concat %c, %d {axis = #npu.ints<3>}
             : (tensor<1x1x80x2xi8>, tensor<1x1x80x2xi8>) -> tensor<1x1x80x4xi8>
        func.return
      }""")
    storage, at = Storage(func), named(func)
    for _ in range(2):
        with pytest.raises(OperationError, match="cannot be seen as tensor<1x160x1x1xi8>"):
            storage.place(at["b"])
        storage.moved(at["a"])


def test_a_kernel_writes_so_that_what_is_made_of_its_result_is_linear() -> None:
    """Exchanged and backwards in a concat, and where the region returns it."""
    func = function("""
      func.func @npu_0(%x: tensor<1x4x6x8xi8>) -> (tensor<1x12x4x8xi8>, tensor<1x192xi8>) {
        %k = npu_schedule.copy %x : tensor<1x4x6x8xi8> -> tensor<1x4x6x8xi8>
        %t = npu_schedule.transpose %k : tensor<1x4x6x8xi8> -> tensor<1x6x4x8xi8>
        %s = npu_schedule.slice %t {offsets = #npu.ints<5, 0, 0>, strides = #npu.ints<-1, 1, 1>}
             : tensor<1x6x4x8xi8> -> tensor<1x6x4x8xi8>
        %a = npu_schedule.copy %s : tensor<1x6x4x8xi8> -> tensor<1x6x4x8xi8>
        %c = npu_schedule.concat %a, %s {axis = #npu.ints<1>}
             : (tensor<1x6x4x8xi8>, tensor<1x6x4x8xi8>) -> tensor<1x12x4x8xi8>
        %m = npu_schedule.copy %x : tensor<1x4x6x8xi8> -> tensor<1x4x6x8xi8>
        %u = npu_schedule.transpose %m : tensor<1x4x6x8xi8> -> tensor<1x6x4x8xi8>
        %r = npu_schedule.reshape %u : tensor<1x6x4x8xi8> -> tensor<1x192xi8>
        func.return %c, %r : tensor<1x12x4x8xi8>, tensor<1x192xi8>
      }""")
    storage, at = Storage(func), named(func)
    # Column 0 of %k is the last row of %c.
    assert storage.place(at["s"]).strides[1:] == (32, 8, 1)
    assert (storage.root(at["k"]), storage.place(at["k"]).offset) == (at["c"], 11 * 32)
    assert storage.place(at["k"]).strides[1:] == (8, -32, 1)
    assert storage.is_linear(at["r"])
    assert storage.root(at["r"]) is storage.root(at["m"]) is at["m"]
    assert storage.place(at["m"]).strides[1:] == (8, 32, 1)
    assert not storage.is_dense(at["m"])


def test_a_whole_view_of_what_is_not_made_here_is_read_under_other_strides() -> None:
    func = function("""
      func.func @npu_0(%x: tensor<1x4x6x8xi8>) {
        %t = npu_schedule.transpose %x : tensor<1x4x6x8xi8> -> tensor<1x6x4x8xi8>
        %s = npu_schedule.slice %t {offsets = #npu.ints<1, 3, 4>, strides = #npu.ints<2, -1, 1>}
             : tensor<1x6x4x8xi8> -> tensor<1x3x4x4xi8>
        func.return
      }""")
    storage, at = Storage(func), named(func)
    place = storage.place(at["s"])
    assert (place.root, place.offset) == (func.args[0], 8 + 3 * 48 + 4)
    assert place.strides[1:] == (16, -48, 1)
