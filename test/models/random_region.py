"""
Random NPU regions as `npu_schedule` text: kernels of all kinds, views, cascades, and decisions taken at random.

Whatever this makes is legal by construction on every accelerator, so a refusal anywhere is a bug. The same seed makes
the same text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2

import numpy as np

RANGES = {"i8": (-128, 127), "ui8": (0, 255), "i16": (-32768, 32767), "i32": (-(1 << 31), (1 << 31) - 1)}
DTYPES = {"i8": np.int8, "ui8": np.uint8, "i16": np.int16, "i32": np.int32, "i64": np.int64}


@dataclass
class Map:
    """A feature map of the region: its SSA name, shape and element."""

    name: str
    height: int
    width: int
    depth: int
    element: str
    made: bool = True
    """Its memory is its own to place: the OFM of a kernel or copy, not an argument or view."""
    placed: bool = False
    """It lies in a concat, or is a result, already."""
    plain: bool = True
    """Its bytes are consecutive, so that it can be reshaped."""
    used: bool = False

    @property
    def type(self) -> str:
        return f"tensor<1x{self.height}x{self.width}x{self.depth}x{self.element}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.depth


@dataclass
class Made:
    """Text of a module, and the arrays that its region takes."""

    text: str
    arguments: list[np.ndarray]


@dataclass
class Maker:
    """One region in the making."""

    rng: np.random.Generator
    lines: list[str] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    count: int = 0
    indent: str = "    "

    # -- small helpers

    def whole(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, options):
        return options[self.whole(0, len(options) - 1)]

    def emit(self, text: str) -> None:
        self.lines.append(self.indent + text)

    def new(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def constant(self, array: np.ndarray, element: str) -> tuple[str, str]:
        """A constant; its name and type."""
        name = self.new()
        type_ = f"tensor<{'x'.join(map(str, array.shape))}x{element}>"
        data = np.ascontiguousarray(array, DTYPES[element]).tobytes().hex().upper()
        self.emit(f'{name} = npu_schedule.constant dense<"0x{data}"> : {type_}')
        return name, type_

    def zero_point(self, element: str) -> int:
        return self.whole(*RANGES[element]) if element in ("i8", "ui8") else 0

    def scale(self, magnitude: float, element: str) -> tuple[int, int]:
        """Multiplier and shift that bring sums of a magnitude into the range of an element."""
        wanted = (RANGES[element][1] - RANGES[element][0]) / 3 if element != "i32" else magnitude
        exponent = log2(wanted / max(magnitude, 1.0)) + float(self.rng.normal(0, 1))
        shift = int(np.clip(round(30.5 - exponent), 0, 62))
        return self.whole(1 << 30, (1 << 31) - 1), shift

    def activation(self, element: str) -> str:
        low, high = RANGES[element if element != "i32" else "i16"]
        if self.chance(0.3):
            low, high = sorted((self.whole(low, high), self.whole(low, high)))
        return f"activation <{low}, {high}>"

    def result(self, shape: tuple[int, int, int], element: str) -> Map:
        return Map(self.new(), *shape, element)

    def add(self, made: Map) -> Map:
        self.maps.append(made)
        return made

    # -- kernels: each returns None where it cannot take this IFM

    def window(
        self, ifm: Map, largest: int, pads: bool = True, upscale: bool = False
    ) -> tuple[str, tuple[int, int], tuple[int, int]]:
        """A window's text, its size, and the extent of the OFM."""
        up = self.one(["nearest", "zeros"]) if upscale and self.chance(0.15) else "none"
        out: list[int] = []
        sizes, strides, dilations, before, after = [], [], [], [], []
        for full in (ifm.height, ifm.width):
            full *= 1 if up == "none" else 2
            dilation = self.whole(1, 2) if self.chance(0.2) and largest > 2 else 1
            size = self.whole(1, largest)
            while size > 1 and (size - 1) * dilation + 1 > full + 2 * (size - 1 if pads else 0):
                size -= 1
            reach = (size - 1) * dilation
            low = self.whole(0, min(reach, full)) if pads and self.chance(0.6) else 0
            high = self.whole(0, min(reach, full)) if pads and self.chance(0.6) else 0
            if low + high + full < reach + 1:
                size, reach, low, high, dilation = 1, 0, 0, 0, 1
            stride = self.one([1, 1, 1, 2, 2, 3])
            # At least one window must see the IFM, and the machine must not be told of padding nobody reads.
            n = (full + low + high - reach - 1) // stride + 1
            if up != "none" and stride != 1:
                stride = 1
                n = full + low + high - reach
            out.append(n)
            sizes.append(size)
            strides.append(stride)
            dilations.append(dilation)
            before.append(low)
            after.append(high)
        text = (
            f"window <{sizes[0]}x{sizes[1]}, stride {strides[0]}x{strides[1]}, dilation {dilations[0]}x{dilations[1]}"
        )
        text += f", pad {before[0]} {before[1]} {after[0]} {after[1]}, upscale {up}>"
        self.last = (sizes, strides, dilations, before, after, up)
        return text, (sizes[0], sizes[1]), (out[0], out[1])

    def decisions(self, shape: tuple[int, int, int]) -> str:
        return ""

    def weighted(self, ifm: Map, depthwise: bool) -> Map | None:
        if ifm.element == "i32":
            return None
        depth = ifm.depth if depthwise else self.one([1, 3, 8, 16, 17, 24, 32, 40])
        window, size, (height, width) = self.window(ifm, 4, upscale=True)
        element = self.one([ifm.element, ifm.element, "i8", "i16", "i32"])
        made = self.result((height, width, depth), element)
        inner = 1 if depthwise else ifm.depth
        weight_zero = self.whole(-128, 127) if self.chance(0.2) else 0
        weights = self.rng.integers(-128, 128, (depth, *size, inner))
        if self.chance(0.3):
            weights = np.where(self.rng.random(weights.shape) < 0.7, 0, weights)
        w, w_type = self.constant(weights, "i8")
        magnitude = 74 * (RANGES[ifm.element][1] - RANGES[ifm.element][0]) / 3.5 * (size[0] * size[1] * inner) ** 0.5
        pairs = [self.scale(magnitude, element) for _ in range(depth)]
        bias = self.rng.integers(-int(magnitude), int(magnitude) + 1, depth)
        s = self.new()
        rounding = "natural" if ifm.element == "i16" else self.one(["double_round", "double_round", "natural"])
        parts = []
        for name, array, kind in (
            ("bias", bias, "i64"),
            ("multiplier", np.array([m for m, _ in pairs]), "i32"),
            ("shift", np.array([n for _, n in pairs]), "i8"),
        ):
            data = np.asarray(array, DTYPES[kind]).tobytes().hex().upper()
            parts.append(f'{name} = dense<"0x{data}"> : tensor<{depth}x{kind}>')
        self.emit(f"{s} = npu_schedule.scales {{{', '.join(parts)}}} : !npu_schedule.scales<{depth}>")
        zero = self.zero_point(ifm.element)
        table, table_type, activation = "", "", self.activation(element)
        if element == ifm.element == "i8" and self.chance(0.25):
            t, t_type = self.constant(self.rng.integers(-128, 128, 256), "i8")
            table, table_type = f" table {t}", f", {t_type}"
            activation = "activation <table, -128, 127>"
        slices = ""
        if depth > 16 and self.chance(0.4):
            cuts = sorted({0, depth, *(16 * self.whole(1, (depth - 1) // 16) for _ in range(2))})
            slices = f" slices <{', '.join(map(str, cuts))}>"
        if self.chance(0.4):
            slices += f" buffers <{self.whole(1, 2)}>"
        op = "depthwise_conv2d" if depthwise else "conv2d"
        weight_zero_text = f" weight_zero_point <{weight_zero}>" if weight_zero else ""
        self.emit(
            f"{made.name} = npu_schedule.{op} {ifm.name}, {w}, {s} {window} "
            f"zero_points <{zero}, {self.zero_point(element)}>{weight_zero_text} scale <per_channel, {rounding}> "
            f"{activation}{table}{self.extra}{slices} : "
            f"({ifm.type}, {w_type}, !npu_schedule.scales<{depth}>{table_type}) -> {made.type}"
        )
        ifm.used = True
        return made

    extra = ""
    """Stripe and rolling clauses of the kernel being made."""

    def conv(self, ifm: Map) -> Map | None:
        return self.weighted(ifm, False)

    def depthwise(self, ifm: Map) -> Map | None:
        return self.weighted(ifm, True)

    def pool(self, ifm: Map) -> Map | None:
        if ifm.element == "i32":
            return None
        kind = self.one(["max", "average", "average"])
        window, size, (height, width) = self.window(ifm, 4, pads=self.chance(0.5))
        _, _, dilations, before, after, _ = self.last
        if max(dilations) > 1:
            return None
        zero = self.zero_point(ifm.element)
        scale = ""
        made_zero = zero
        if kind == "average":
            if any((*before, *after)):
                # The machine divides by what it sees, so some window has to see less than all: else it is no padding.
                zero = made_zero = 0
                if not self._sees_padding(ifm, height, width):
                    return None
            else:
                elements = size[0] * size[1]
                bits = (elements - 1).bit_length()
                scale = f" scale <{((1 << (31 + bits)) + (1 << bits)) // elements}, shift {31 + bits}, natural>"
                made_zero = zero = 0
        made = self.result((height, width, ifm.depth), ifm.element)
        self.emit(
            f"{made.name} = npu_schedule.pool {kind} {ifm.name} {window} zero_points <{zero}, {made_zero}>{scale} "
            f"{self.activation(ifm.element)}{self.extra} : ({ifm.type}) -> {made.type}"
        )
        ifm.used = True
        return made

    def _sees_padding(self, ifm: Map, height: int, width: int) -> bool:
        sizes, strides, _, before, _, _ = self.last
        ends = [(n - 1) * strides[i] + sizes[i] - before[i] for i, n in enumerate((height, width))]
        return any(before) or ends[0] > ifm.height or ends[1] > ifm.width

    def total(self, ifm: Map) -> Map | None:
        element = self.one(["i8", "i16", "i32"]) if ifm.element != "i32" else "i32"
        made = self.result((ifm.height, ifm.width, 1), element)
        if ifm.element == "i32":
            return None
        size = RANGES[ifm.element][1] - RANGES[ifm.element][0]
        multiplier, shift = self.scale(size / 3.5 * ifm.depth**0.5, element)
        self.emit(
            f"{made.name} = npu_schedule.pool sum {ifm.name} window <1x1> "
            f"zero_points <{self.zero_point(ifm.element)}, {self.zero_point(element)}> "
            f"scale <{multiplier}, shift {shift}, natural> {self.activation(element)}{self.extra} : "
            f"({ifm.type}) -> {made.type}"
        )
        ifm.used = True
        return made

    def unary(self, ifm: Map) -> Map | None:
        if ifm.element == "i32":
            made = self.result(ifm.shape, "i32")
            self.emit(
                f"{made.name} = npu_schedule.elementwise clz {ifm.name} zero_points <0, 0> activation <-32768, 32767>"
                f"{self.extra} : ({ifm.type}) -> {made.type}"
            )
            ifm.used = True
            return made
        made = self.result(ifm.shape, ifm.element)
        kind = self.one(["abs", "lrelu"])
        self.emit(
            f"{made.name} = npu_schedule.elementwise {kind} {ifm.name} "
            f"zero_points <{self.zero_point(ifm.element)}, {self.zero_point(ifm.element)}> "
            f"scale <{self.whole(1 << 30, (1 << 31) - 1)}, shift {self.whole(30, 34)}, double_round> "
            f"{self.activation(ifm.element)}{self.extra} : ({ifm.type}) -> {made.type}"
        )
        ifm.used = True
        return made

    def binary(self, ifm: Map) -> Map | None:
        same = [m for m in self.maps if m.shape == ifm.shape and m.element == ifm.element and m is not ifm]
        if same and self.chance(0.6):
            other = self.one(same)
            other.used = True
            name, type_ = other.name, other.type
        else:
            shape = tuple(1 if self.chance(0.5) else n for n in ifm.shape)
            low, high = RANGES[ifm.element]
            if ifm.element == "i32":
                low, high = -(1 << 20), 1 << 20
            name, type_ = self.constant(self.rng.integers(low, high + 1, (1, *shape)), ifm.element)
        kind = self.one(["add", "sub", "mul", "min", "max", "add"])
        element = ifm.element
        made = self.result(ifm.shape, element)
        size = (RANGES[ifm.element][1] - RANGES[ifm.element][0]) / 3.5
        scale = ""
        reverse = " reversed" if kind == "sub" and self.chance(0.5) else ""
        if ifm.element == "i32":
            scale = " scale <1, shift {}, double_round>".format(31 if kind == "mul" else 1)
            if kind in ("min", "max"):
                scale = ""
        elif kind == "mul":
            multiplier, shift = self.scale(size * size, element)
            scale = f" scale <{multiplier}, shift {shift}, double_round>"
        elif kind in ("add", "sub"):
            left = 19 if ifm.element != "i16" else 14
            multiplier, shift = self.scale(size * 2**left, element)
            which = self.one(["ifm", "ifm2"])
            scale = (
                f" operand_scales <{which} {self.whole(1 << 30, (1 << 31) - 1)}, shift {31 - left + self.whole(0, 4)}>"
                f" scale <{multiplier}, shift {shift}, double_round>"
            )
        zeros = f"<{self.zero_point(ifm.element)}, {self.zero_point(ifm.element)}, {self.zero_point(element)}>"
        self.emit(
            f"{made.name} = npu_schedule.elementwise {kind} {ifm.name}, {name}{reverse} zero_points {zeros}{scale} "
            f"{self.activation(element)}{self.extra} : ({ifm.type}, {type_}) -> {made.type}"
        )
        ifm.used = True
        return made

    def copy(self, ifm: Map) -> Map | None:
        made = self.result(ifm.shape, ifm.element)
        self.emit(f"{made.name} = npu_schedule.copy {ifm.name} : {ifm.type} -> {made.type}")
        ifm.used = True
        return made

    # -- views

    def slice(self, ifm: Map) -> Map | None:
        offsets, sizes, strides = [], [], []
        for axis, full in enumerate(ifm.shape):
            step = self.one([1, 1, 2, -1, -2]) if axis < 2 else 1
            start = self.whole(0, full - 1) if self.chance(0.6) else 0 if step > 0 else full - 1
            if axis == 2 and self.chance(0.7):
                start = start // 16 * 16
            most = (full - 1 - start if step > 0 else start) // abs(step) + 1
            sizes.append(most if self.chance(0.3) else self.whole(1, most))
            offsets.append(start)
            strides.append(step)
        made = Map(self.new(), *sizes, ifm.element, made=False, plain=False)
        self.emit(
            f"{made.name} = npu_schedule.slice {ifm.name} {{offsets = #npu.ints<{', '.join(map(str, offsets))}>, "
            f"strides = #npu.ints<{', '.join(map(str, strides))}>}} : {ifm.type} -> {made.type}"
        )
        ifm.used = True
        return made

    def transpose(self, ifm: Map) -> Map | None:
        if not ifm.plain or ifm.placed:
            return None
        # As for a reshape.
        ifm.made = False
        made = Map(self.new(), ifm.width, ifm.height, ifm.depth, ifm.element, made=False, plain=False)
        self.emit(f"{made.name} = npu_schedule.transpose {ifm.name} : {ifm.type} -> {made.type}")
        ifm.used = True
        return made

    def reshape(self, ifm: Map) -> Map | None:
        if not ifm.plain or ifm.placed:
            return None
        total = ifm.height * ifm.width * ifm.depth
        depths = [d for d in (1, 2, 4, 8, 16, 24, 32, 48) if total % d == 0]
        depth = self.one(depths)
        rows = [r for r in range(1, 13) if (total // depth) % r == 0]
        height = self.one(rows)
        if total // depth // height > 200:
            return None
        # What is looked at otherwise must keep its bytes together, so it is not placed in a concat later.
        ifm.made = False
        made = Map(self.new(), height, total // depth // height, depth, ifm.element, made=False)
        self.emit(f"{made.name} = npu_schedule.reshape {ifm.name} : {ifm.type} -> {made.type}")
        ifm.used = True
        return made

    def concat(self, ifm: Map) -> Map | None:
        def fits(m: Map, axis: int) -> bool:
            same = [n for i, n in enumerate(m.shape) if i != axis] == [n for i, n in enumerate(ifm.shape) if i != axis]
            return m.made and not m.placed and m.element == ifm.element and same

        axis = self.whole(0, 2)
        if not fits(ifm, axis):
            return None
        others = [m for m in self.maps if m is not ifm and fits(m, axis)]
        parts = [ifm, *others[: self.whole(0, 2)]]
        for _ in range(self.whole(0 if len(parts) > 1 else 1, 1)):
            copied = self.copy(ifm)
            assert copied is not None
            parts.append(copied)
        shape = list(ifm.shape)
        shape[axis] = sum(m.shape[axis] for m in parts)
        for part in parts:
            part.placed = part.used = True
            part.plain = False
        made = Map(self.new(), shape[0], shape[1], shape[2], ifm.element)
        self.emit(
            f"{made.name} = npu_schedule.concat {', '.join(m.name for m in parts)} {{axis = #npu.ints<{axis + 1}>}} : "
            f"({', '.join(m.type for m in parts)}) -> {made.type}"
        )
        return made

    def cascade(self, ifm: Map) -> Map | None:
        """A chain of two to four kernels in stripes of random heights, through rolling buffers high enough or more."""
        if ifm.element == "i32":
            return None
        outer_lines, outer_maps = self.lines, self.maps
        current, bodies = ifm, []
        for _ in range(self.whole(2, 4)):
            for _ in range(12):
                self.lines, self.maps, self.extra = [], [current], "@@"
                self.last = ([1], [1], [1], [0], [0], "none")
                kind = self.one([self.conv, self.depthwise, self.pool, self.unary])
                made = kind(current)
                if made is not None and self.last[5] == "none" and made.element != "i32":
                    break
            else:
                break
            bodies.append((self.lines, made, self.last, current))
            current = made
        self.lines, self.maps, self.extra = outer_lines, outer_maps, ""
        if len(bodies) < 2:
            return None
        stripes = [self.whole(1, min(made.height, 6)) for _, made, _, _ in bodies]
        out = self.new()
        final = bodies[-1][1]
        self.emit(f"{out} = npu_schedule.cascade -> {final.type} {{")
        for index, (lines, made, _, _) in enumerate(bodies):
            text = f" stripe <{stripes[index]}>"
            if index + 1 < len(bodies):
                sizes, strides, dilations, *_ = bodies[index + 1][2]
                need = (stripes[index + 1] - 1) * strides[0] + (sizes[0] - 1) * dilations[0] + 1
                rows = min(made.height, need + stripes[index] - 1 + self.one([0, 0, 1, 3]))
                text += f" rolling <{rows}>"
            for line in lines:
                self.lines.append("  " + line.replace("@@", text))
        self.emit(f"  npu_schedule.yield {final.name} : {final.type}")
        self.emit("}")
        ifm.used = True
        return Map(out, *final.shape, final.element)


def random_region(seed: int, target: str) -> Made:
    """A module with one region of one to eight steps, for `#npu.target<...>` of the text `target`."""
    make = Maker(np.random.default_rng(seed))
    elements = ["i8", "i8", "i8", "ui8", "i16", "i32"]
    arguments = [
        Map(
            f"%a{i}",
            make.whole(1, 14),
            make.whole(1, 14),
            make.one([1, 3, 8, 16, 16, 24, 32, 33, 48]),
            make.one(elements),
            made=False,
        )
        for i in range(make.whole(1, 2))
    ]
    make.maps = list(arguments)
    kinds = [make.conv, make.conv, make.depthwise, make.pool, make.total, make.unary, make.binary, make.binary]
    kinds += [make.copy, make.slice, make.reshape, make.transpose, make.concat, make.concat, make.cascade, make.cascade]
    steps = make.whole(1, 8)
    while steps:
        source = make.one(make.maps[-4:])
        before = len(make.lines)
        made = make.one(kinds)(source)
        if made is None:
            del make.lines[before:]
            continue
        if made.height * made.width * made.depth <= 20000:
            make.maps.append(made)
        else:
            del make.lines[before:]
            continue
        steps -= 1
    results: list[Map] = []
    for found in make.maps:
        if found.used:
            continue
        if not found.made or found.placed:
            found = make.copy(found)
            assert found is not None
        results.append(found)
    args = ", ".join(f"{m.name}: {m.type}" for m in arguments)
    types = ", ".join(m.type for m in results)
    names = ", ".join(m.name for m in results)
    lines = "\n".join(make.lines)
    text = f"""builtin.module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0({args}) -> ({types}) attributes {{npu.region}} {{
{lines}
    func.return {names} : {types}
  }}
}}
"""
    arrays = []
    for m in arguments:
        low, high = RANGES[m.element]
        if m.element == "i32":
            low, high = -(1 << 24), 1 << 24
        arrays.append(make.rng.integers(low, high + 1, (1, *m.shape)).astype(DTYPES[m.element]))
    return Made(text, arrays)
