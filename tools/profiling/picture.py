"""One program as a picture: kernels and transfers over time, and below them which bytes of SRAM hold something."""

from __future__ import annotations

import html

from npuc.analysis.timeline import Event, Timeline
from npuc.dialects.locations import source_name
from npuc.tools.profiling.attribution import title
from npuc.tools.profiling.profile import Profile

# A picture, in pixels: margins around the plot, its width, the height of a lane of events and of the memory below them.
LEFT, TOP, BOTTOM, WIDTH, LANE, MEMORY = 76, 26, 34, 1110, 24, 300
LETTER = 6.4
"""Width of a letter; a label is written where it fits."""
KERNELS = ("#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00", "#eedd88")
TRANSFERS, HOST, LIMIT = "#ee8866", "#cccccc", "#bb2222"


def as_svg(one: Timeline, profile: Profile, limit: int | None = None, frame: tuple[int, int] | None = None) -> str:
    """
    One program as a picture: kernels and transfers over time, and below them which bytes of SRAM hold something.

    A kernel and what it writes have one colour, which its stripes share. `limit` is drawn as a line; `frame` gives the
    cycles and bytes that the axes reach, so that pictures can be compared.
    """
    space = "fast" if profile.setup.spilling else "arena"
    cycles, top = frame or (one.cycles, max(one.high_water(space), limit or 0))
    cycles, top = max(cycles, 1), max(top, 1)
    memory = TOP + 2 * LANE + 8
    names = dict.fromkeys(_source(event) for event in one.events if event.is_kernel)
    colours = {name: KERNELS[number % len(KERNELS)] for number, name in enumerate(names)}

    def x(time: float) -> float:
        return LEFT + time / cycles * WIDTH

    def y(address: float) -> float:
        return memory + MEMORY * (1 - address / top)

    def colour(event: Event | None) -> str:
        return HOST if event is None else colours[_source(event)] if event.is_kernel else TRANSFERS

    parts: list[str] = []
    floor = memory + MEMORY
    for at, label in _ticks(cycles, "k", 1000):
        parts += [_line(x(at), memory, x(at), floor + 4), _text(x(at), floor + 16, label, "middle")]
    parts.append(_text(LEFT + WIDTH, floor + 30, "cycles", "end"))
    for at, label in _ticks(top, " KiB", 1024):
        parts += [_line(LEFT - 4, y(at), LEFT + WIDTH, y(at)), _text(LEFT - 8, y(at) + 4, label, "end")]
    for number, label in enumerate(("kernels", "transfers")):
        parts.append(_text(LEFT - 8, TOP + LANE * number + 15, label, "end"))
    for e in one.events:
        above = TOP + (0 if e.is_kernel else LANE)
        parts += _box(x(e.start), x(e.end), above, LANE - 3, colour(e), title(e), _source(e))
    for life in one.lives(space):
        start, size, writer = life.span.start, life.span.end - life.span.start, life.writer
        what = "from the host" if writer is None else title(writer)
        name = "from the host" if writer is None else _source(writer)
        if writer is not None and not writer.is_kernel:
            name = f"for {name}"
        high, low = y(start + size), y(start)
        text = f"{what}: bytes {start} to {start + size}, cycles {life.start} to {life.end}"
        parts += _box(x(life.start), x(life.end), high, low - high, colour(writer), text, name)
    if limit is not None:
        parts.append(_line(LEFT, y(limit), LEFT + WIDTH, y(limit), f'stroke="{LIMIT}" stroke-width="1.5"'))
        parts.append(_text(LEFT + WIDTH, y(limit) - 4, f"limit {limit}", "end", LIMIT))
    at = LEFT
    for name, fill in (*colours.items(), ("transfers and weights", TRANSFERS), ("from the host", HOST)):
        wide = 24 + LETTER * len(name)
        if at + wide > LEFT + WIDTH:
            break
        parts += [*_box(at, at + 12, 6, 12, fill, name, ""), _text(at + 16, 16, name)]
        at += wide
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 8} {floor + BOTTOM}" '
        f'width="{LEFT + WIDTH + 8}" height="{floor + BOTTOM}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>'
    )


def _source(event: Event) -> str:
    """The tensor that an event makes, or the kind of its operation where that is not known."""
    return source_name(event.op.location) or title(event)


def _box(x0: float, x1: float, y: float, tall: float, colour: str, text: str, label: str) -> list[str]:
    """A rectangle with `text` for the mouse, and `label` in it if there is room."""
    wide = max(x1 - x0, 0.5)
    parts = [
        f'<rect x="{x0:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}" '
        f'stroke="white" stroke-width="0.4"><title>{html.escape(text)}</title></rect>'
    ]
    if label and tall >= 11 and wide >= LETTER * len(label) + 4:
        parts.append(_text((x0 + x1) / 2, y + tall / 2 + 4, label, "middle"))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{html.escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, style: str = 'stroke="#999999" stroke-width="0.4"') -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" {style}/>'


def _ticks(most: int, unit: str, size: int) -> list[tuple[int, str]]:
    """Round numbers from 0 to `most` for an axis, at most a dozen, with their labels in units of `size`."""
    step = size
    while most / step > 12:
        step *= 5 if str(step // size)[0] == "2" else 2
    return [(at, f"{at // size}{unit}" if at else "0") for at in range(0, most + 1, step)]
