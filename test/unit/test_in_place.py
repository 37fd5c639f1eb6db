"""
Kernels that read one feature map under two mappings at once, in place where that is decided or written by hand.

Whatever `npu-schedule-reuse-ifm` decides must run on the simulator without a report and equal a plain evaluation; an
`in_place` that is written by hand must either do the same or be refused.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of
from schedule_reference import evaluate
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import DiagnosticException

from npuc.analysis.machine import scarce_space_of
from npuc.analysis.storage import Storage
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import ElementwiseOp
from npuc.planning.network import Network

MACHINES = ("ethos-u55-32", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512")
SEEDS = 16
SUB = (
    "zero_points <0, 0, 0> operand_scales <ifm 1073741824, shift 12> scale <1073741824, shift 50, double_round> "
    "activation <-128, 127>"
)
REFUSED = "overwrites in place what it reads as operand"

Shape = tuple[int, int, int]


def text_of(shape: Shape) -> str:
    return f"tensor<1x{'x'.join(map(str, shape))}xi8>"


@dataclass
class Views:
    """Lines that make views of `%y`, the last of them `name` with `shape`."""

    lines: list[str]
    name: str
    shape: Shape

    def slice(self, offsets: Shape, strides: Shape, shape: Shape) -> Views:
        name = f"{self.name}s"
        line = (
            f"{name} = npu_schedule.slice {self.name} {{offsets = #npu.ints<{', '.join(map(str, offsets))}>, "
            f"strides = #npu.ints<{', '.join(map(str, strides))}>}} : {text_of(self.shape)} -> {text_of(shape)}"
        )
        return Views([*self.lines, line], name, shape)

    def reshape(self, shape: Shape) -> Views:
        name = f"{self.name}r"
        line = f"{name} = npu_schedule.reshape {self.name} : {text_of(self.shape)} -> {text_of(shape)}"
        return Views([*self.lines, line], name, shape)


def random_view(rng: np.random.Generator, ofm: Shape, whole: Shape, name: str) -> Views:
    """A view of `%y` that broadcasts to `ofm`, or has its shape if `name` is that of the IFM."""
    view = Views([], "%y", whole)
    kind = rng.integers(4)
    if kind == 1 and whole == ofm:
        return rename(view.reshape((whole[1], whole[0], whole[2])).reshape(whole), name)
    if kind == 2 and name != "%i":
        view = view.reshape((whole[1], whole[0], whole[2]))
    elif kind == 3 and name != "%i" and whole[2] % 2 == 0:
        view = view.reshape((whole[0] * 2, whole[1], whole[2] // 2))
    sizes, offsets, strides = [], [], []
    for axis, (full, have) in enumerate(zip(ofm, view.shape, strict=True)):
        single = have < full or (name != "%i" and rng.random() < 0.4)
        size = 1 if single else full
        step = 2 if axis < 2 and size > 1 and (size - 1) * 2 < have and rng.random() < 0.5 else 1
        sizes.append(size)
        strides.append(step)
        offsets.append(int(rng.integers(have - (size - 1) * step)))
    if tuple(sizes) == view.shape:
        return rename(view, name)
    return rename(view.slice(tuple(offsets), tuple(strides), tuple(sizes)), name)


def rename(view: Views, name: str) -> Views:
    """The same view with names of its own."""
    lines = [line.replace("%y", name).replace(f"{name} :", "%y :", 1) for line in view.lines]
    if lines:
        lines[0] = view.lines[0].replace("%ys", f"{name}s", 1).replace("%yr", f"{name}r", 1)
    return Views(lines, view.name.replace("%y", name) if lines else "%y", view.shape)


def region(seed: int, machine: str) -> tuple[str, list[np.ndarray]]:
    """A kernel that subtracts one view of a feature map from another, and the region's argument."""
    rng = np.random.default_rng(seed)
    whole = tuple(int(n) for n in rng.integers((2, 2, 2), (25, 25, 33)))
    ofm = whole if rng.random() < 0.7 else (whole[0] // 2, whole[1], whole[2])
    ifm, ifm2 = random_view(rng, ofm, whole, "%i"), random_view(rng, ofm, whole, "%j")
    make = f"""%y = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127>
         : ({text_of(whole)}) -> {text_of(whole)}"""
    if rng.random() < 0.3:  # the same as operand of a concat
        make = (
            make.replace("%y =", "%c =")
            + f"""
    %y = npu_schedule.concat %c {{axis = #npu.ints<3>}} : ({text_of(whole)}) -> {text_of(whole)}"""
        )
    body = "\n    ".join([make, *ifm.lines, *ifm2.lines])
    text = f"""builtin.module attributes {{npu.target = #npu.target<"{machine}">}} {{
  func.func @npu_0(%x: {text_of(whole)}) -> {text_of(ofm)} attributes {{npu.region}} {{
    {body}
    %z = npu_schedule.elementwise sub {ifm.name}, {ifm2.name} {SUB}
         : ({text_of(ifm.shape)}, {text_of(ifm2.shape)}) -> {text_of(ofm)}
    func.return %z : {text_of(ofm)}
  }}
}}
"""
    return text, [rng.integers(-128, 128, (1, *whole)).astype(np.int8)]


def last_kernel(module: ModuleOp) -> ElementwiseOp:
    return [op for op in module.walk() if isinstance(op, ElementwiseOp)][-1]


def check(module: ModuleOp, arguments: list[np.ndarray], passes: tuple[str, ...]) -> None:
    (wanted,) = evaluate(region_of(parse(str(module))), arguments)
    found = execute(module, arguments, passes)
    assert not found.reports, "\n".join(map(str, found.reports))
    np.testing.assert_array_equal(found.results[0], wanted)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_kernel_overwrites_what_it_reads_under_another_mapping(machine: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        text, arguments = region(SEEDS * MACHINES.index(machine) + seed, machine)
        module = parse(text)
        predicted = Storage(region_of(module)).reusable(last_kernel(module))
        space = scarce_space_of(module)
        saved = Network(region_of(module)).placed(lambda _, space=space: space).items[-1].saved
        check(module, arguments, ("npu-schedule-reuse-ifm", *LOWERING))
        seen["left" if predicted is None else "in place"] += 1
        assert bool(saved) == (predicted is not None)
        module = parse(text)
        last_kernel(module).in_place = IntsAttr((0,))
        try:
            module.verify()
            check(module, arguments, LOWERING)
            seen["by hand"] += 1
        except DiagnosticException as error:
            seen["refused" if REFUSED in str(error) else "another reason"] += 1
    assert min(seen[one] for one in ("left", "in place", "by hand", "refused")) >= 1, seen


def test_the_decision_agrees_with_the_prediction_for_each_kernel() -> None:
    """The question asked before any decision is answered as it is after all earlier ones are taken."""
    lines = ["%v0 = npu_schedule.copy %x : T -> T"]
    rng = np.random.default_rng(5)
    for number in range(1, 30):
        one, other = rng.integers(max(0, number - 3), number, 2)
        name = f"%v{other}"
        if rng.random() < 0.5:
            lines.append(
                f"%s{number} = npu_schedule.slice {name} {{offsets = #npu.ints<{rng.integers(6)}, 0, 0>, "
                "strides = #npu.ints<1, 1, 1>} : T -> tensor<1x1x8x16xi8>"
            )
            name = f"%s{number}"
        type_ = "T" if name.startswith("%v") else "tensor<1x1x8x16xi8>"
        lines.append(f"%v{number} = npu_schedule.elementwise sub %v{one}, {name} {SUB} : (T, {type_}) -> T")
    body = "\n".join(lines)
    text = f"""func.func @npu_0(%x: T) -> T attributes {{npu.region}} {{
      {body}
      func.return %v29 : T
    }}""".replace("T", "tensor<1x6x8x16xi8>")
    text = f'builtin.module attributes {{npu.target = #npu.target<"ethos-u55-128">}} {{ {text} }}'
    module = parse(text)
    function = region_of(module)
    kernels = [op for op in function.walk() if isinstance(op, ElementwiseOp)]
    storage = Storage(function)
    predicted = [storage.reusable(op) for op in kernels]
    apply(module, ["npu-schedule-reuse-ifm"])
    decided = [None if op.in_place is None else op.in_place.data[0] for op in kernels]
    assert decided == predicted
    assert 0 < sum(one is not None for one in decided) < len(decided)


def test_memory_is_saved_only_where_the_operand_lies_in_the_same() -> None:
    """Which operand a result is written over is asked before it is decided which memory each lies in."""
    text = """func.func @npu_0(%x: T, %y: T) -> T attributes {npu.region} {
      %a = npu_schedule.copy %x : T -> T
      %b = npu_schedule.copy %y : T -> T
      %c = npu_schedule.elementwise sub %a, %b scaled : (T, T) -> T
      %d = npu_schedule.copy %c : T -> T
      func.return %d : T
    }""".replace("T", "tensor<1x6x8x16xi8>").replace("scaled", SUB)
    target = '"ethos-u65-512", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"'
    module = parse(f"builtin.module attributes {{npu.target = #npu.target<{target}>}} {{ {text} }}")
    network = Network(region_of(module))
    a, b, c = (network.items[number].op.result for number in range(3))

    def saved(*fast: SSAValue) -> int:
        return network.placed(lambda root: "fast" if root in fast else "arena").items[2].saved

    assert saved(a, b, c) == saved(a, c) == saved(b, c) == 6 * 8 * 16
    assert saved(c) == saved(a, b) == 0
