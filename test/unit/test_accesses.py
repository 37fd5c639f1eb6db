"""The bytes that commands touch: hulls against all rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.analysis.accesses import Span, box_spans, map_spans, overlap
from npuc.dialects.npu import Element, IntsAttr
from npuc.dialects.npu_cmd import AllocOp, FeatureMap, Tiles


@st.composite
def maps(draw: st.DrawFn) -> FeatureMap:
    height, width, depth = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 40))
    element = Element(draw(st.sampled_from([8, 16, 32])), True)
    fm = FeatureMap.packed(height, width, depth, element, draw(st.sampled_from(["nhwc", "nhcwb16"])))
    first = draw(st.integers(1, height))
    tiles = Tiles(width, first, first, 0, 4096, 0) if first < height and draw(st.booleans()) else None
    return FeatureMap(height, width, depth, element, fm.layout, 0, 64, fm.stride_y, fm.stride_x, fm.stride_c, tiles)


@examples(100)
@given(maps())
def test_spans_of_a_map_are_the_hulls_of_its_tiles(fm: FeatureMap) -> None:
    alloc = AllocOp(1 << 20, "arena")
    alloc.address = IntsAttr((16,))
    rows = box_spans(alloc.result, fm, (0, fm.height, 0, fm.width, 0, fm.depth))
    hulls = map_spans(alloc.result, fm)
    assert len(hulls) == (1 if fm.tiles is None else 2)
    assert all(any(hull.start <= row.start and row.end <= hull.end for hull in hulls) for row in rows)
    for hull in hulls:
        inside = [row for row in rows if hull.meets(row)]
        assert hull.start == min(row.start for row in inside)
        assert hull.end == max(row.end for row in inside)


SPANS = st.lists(
    st.builds(
        lambda space, start, size: Span(space, start, start + size),
        st.sampled_from(["arena", "fast"]),
        st.integers(0, 200),
        st.integers(1, 12),
    ),
    max_size=12,
)


@examples(300)
@given(SPANS, SPANS)
def test_lists_overlap_where_any_two_of_their_spans_meet(some: list[Span], others: list[Span]) -> None:
    assert overlap(some, others) == any(a.meets(b) for a in some for b in others)
