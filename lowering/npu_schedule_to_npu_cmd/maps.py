"""
Feature maps: which buffer a tensor's root became, and the view of it that one launch reads or writes.
"""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.analysis.storage import Storage
from npuc.dialects.npu_cmd import FeatureMap, Tiles
from npuc.dialects.npu_schedule import element_of, is_brick, nhwc
from npuc.hardware.shram import BRICK


class FeatureMaps:
    """Buffers of the roots of one region, and views of them."""

    def __init__(self, storage: Storage):
        self.storage = storage
        self.buffers: dict[SSAValue, SSAValue] = {}
        """Root -> npu_cmd buffer."""
        self.rolling: dict[SSAValue, int] = {}
        """Root -> rows of the rolling buffer that holds it inside its cascade."""

    def view(
        self, value: SSAValue, zero_point: int, rows: tuple[int, int], channels: tuple[int, int] | None = None
    ) -> tuple[SSAValue, FeatureMap]:
        """
        Rows [start, end) of a feature map, of all channels or those of [start, end): its buffer and the view.

        In a rolling buffer of R rows, row y stands at y mod R; a view that wraps has a second tile below the first.
        """
        height, width, depth = nhwc(value)
        place = self.storage.place(value)
        first, end = channels or (0, depth)
        start, stop = rows
        if not 0 <= start < stop <= height:
            raise VerifyException(f"rows {start} to {stop} of a feature map of {height}")
        brick = is_brick(value)
        if brick and first % BRICK:
            raise VerifyException(f"a slice of bricks starts at a multiple of {BRICK} channels, not {first}")
        origin = place.offset + (first // BRICK if brick else first) * place.stride_c
        tiles: Tiles | None = None
        at = start
        capacity = self.rolling.get(place.root)
        if capacity is not None:
            if stop - start > capacity:
                raise VerifyException(f"{stop - start} rows do not fit a rolling buffer of {capacity}")
            at = start % capacity
            if at + stop - start > capacity:
                tiles = Tiles(width, capacity - at, capacity - at, 0, origin, 0)
        fm = FeatureMap(
            height=stop - start,
            width=width,
            depth=end - first,
            element=element_of(value),
            layout="nhcwb16" if brick else "nhwc",
            zero_point=zero_point,
            offset=origin + at * place.stride_y,
            stride_y=place.stride_y,
            stride_x=place.stride_x,
            stride_c=place.stride_c,
            tiles=tiles,
        )
        return self.buffers[place.root], fm
