"""
The form of a kernel: its rows, what they read, and the launches that are made of them, as plain data.

Planners ask for launches of one kernel in hundreds of heights. Its shapes and window are read from the IR once.
"""

from __future__ import annotations

from typing import NamedTuple

from npuc.analysis.storage import Storage
from npuc.dialects.launch import Window
from npuc.dialects.npu_schedule import CopyOp, KernelOp, nhwc
from npuc.hardware.shram import Kernel


class Rows(NamedTuple):
    """What a launch computes, and what it reads."""

    first: int
    """Of the IFM."""
    last: int
    """The row after the last of the IFM."""
    top: int
    """Rows of padding."""
    bottom: int


Shape = tuple[int, int, int]
"""Height, width and depth."""


class Form(NamedTuple):
    """What the rows of a kernel are, read from the IR once."""

    whole: Kernel
    """The launch of all of it."""
    inputs: tuple[Shape, ...]
    """Of the feature maps that it reads."""
    ofm: Shape
    window: Window

    @staticmethod
    def of(op: KernelOp | CopyOp, storage: Storage) -> Form:
        """That of a kernel, or of a copy, which has no window and is launched whole."""
        inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps
        window = Window() if isinstance(op, CopyOp) else op.sliding
        return Form(storage.launch(op), tuple(nhwc(value) for value in inputs), nhwc(op.result), window)

    def rows(self, start: int, stop: int) -> Rows:
        """The IFM rows that OFM rows [start, stop) read."""
        window, height = self.window, self.inputs[0][0]
        up = 1 if window.upscale == "none" else 2
        first = start * window.stride_y - window.top
        last = (stop - 1) * window.stride_y + window.dilated_height - window.top
        low, high = max(first, 0), min(last, height * up)
        return Rows(low // up, -(-high // up), low - first, max(0, last - height * up))

    def usual(self, rows: int) -> Kernel:
        """A launch of so many OFM rows, away from the padding above and below; the whole if these are all."""
        if rows >= self.ofm[0]:
            return self.whole
        window = self.window
        needed = -(-((rows - 1) * window.stride_y + window.dilated_height) // (1 if window.upscale == "none" else 2))
        return self.launch(min(needed, self.inputs[0][0]), rows)

    def launch(self, ifm_rows: int, ofm_rows: int) -> Kernel:
        """A launch of so many rows."""
        whole, ifm2 = self.whole, self.whole.ifm2
        if ifm2 is not None and ifm2.height > 1:
            ifm2 = ifm2._replace(height=ofm_rows)
        ifm, ofm = whole.ifm._replace(height=ifm_rows), whole.ofm._replace(height=ofm_rows)
        return whole._replace(ifm=ifm, ofm=ofm, ifm2=ifm2)


def of_channels(kernel: Kernel, depth: int) -> Kernel:
    """A launch of so many channels of a kernel."""
    if depth >= kernel.ofm.depth:
        return kernel
    if kernel.kind == "depthwise":
        apart = kernel.ifm_format == "nhwc" and kernel.ifm.width > 1
        kernel = kernel._replace(ifm=kernel.ifm._replace(depth=depth), ifm_apart=apart)
    apart = kernel.ofm_format == "nhwc" and kernel.ofm.width > 1
    return kernel._replace(ofm=kernel.ofm._replace(depth=depth), ofm_apart=apart)
