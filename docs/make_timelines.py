"""
Writes docs/timelines.md and its pictures: one network, its kernels, transfers and memory, before and after each of the
passes that schedule it. `python docs/make_timelines.py`
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from xdsl.dialects.builtin import IntegerAttr

from npuc.dialects.npu import LIMIT_ATTR
from npuc.dialects.npu_cmd import ProgramOp
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import EMIT, Target, pipeline
from npuc.tools.profiling.picture import as_svg
from npuc.tools.profiling.profile import Profile, profile_module

DOCS = Path(__file__).parent
MODEL = DOCS.parent / "test" / "models" / "tour.tflite"
MORE = 45 * 1024
"""The larger limit of the last picture."""

SPLIT, HOIST = "npu-schedule-split-weight-buffers", "npu-cmd-hoist-dma"
BUFFERS = frozenset({"npu-schedule-buffer-weights", SPLIT, HOIST})
CASCADES = frozenset({"npu-schedule-limit-sram", "npu-schedule-plan-cascades", "npu-schedule-form-cascades"})
LIMIT = 32 * 1024
SMALL = Target("ethos-u55-128", limit=LIMIT)

# Of each step its name, target, and the passes that are left out of the pipeline; what it shows.
STEPS = (
    (
        "whole",
        Target("ethos-u55-128"),
        CASCADES | BUFFERS,
        "Whole feature maps, weights in flash. At the peak are the input and the large feature map that conv_0 makes.",
    ),
    (
        "cascaded",
        SMALL,
        BUFFERS,
        "Cascading. conv_0 and conv_1 take turns; of the large feature map 9 rows exist at a time. Every stripe costs "
        "a fill, and reads its weights again. What conv_1 makes lies over the rows of the input that conv_0 has read.",
    ),
    (
        "buffered",
        SMALL,
        frozenset({SPLIT, HOIST}),
        "Weight buffering, where there is room below the limit: one buffer for conv_0 and one for conv_1, filled once "
        "for all stripes, one for conv_2 and two for conv_3, which would read their weights from flash for each block. "
        "Kernels wait for their first transfer.",
    ),
    (
        "split",
        SMALL,
        frozenset[str](),
        "Transfers issued earlier, to buffers of their own. The one of conv_2 runs beside the last stripes. Each of "
        "the two buffers of conv_3 is a value of its own size and life: both at once find no room beside conv_2, the "
        "first does, and is filled as soon as conv_2 is queued behind the last stripe; the second is not there before "
        f"its own transfer. This is what `npu-compile --arena-cache-size {LIMIT}` does.",
    ),
    (
        "limit",
        Target("ethos-u55-128", limit=MORE),
        frozenset[str](),
        f"SRAM limit. The same passes with a limit of {MORE} bytes: the room becomes taller stripes, "
        "of 16 rows instead of 8.",
    ),
)
HEAD = """\
# What the scheduling passes do to memory

Made by `docs/make_timelines.py` from the network of the tour (`test/tour/schedule.test`), for ethos-u55-128. Time runs
to the right. Above are kernels and transfers; below is what the bytes of SRAM hold, addresses upwards, from the cycle
in which it is written to that of its last reader. A feature map has the colour of the kernel that makes it. The red
line is `npu.sram_limit`. All pictures have the same scale; the numbers are those of `npu-profile`. How decisions are
made is in [schedule.md](schedule.md) and [weight_buffers.md](weight_buffers.md).
"""


def step(target: Target, leave_out: frozenset[str]) -> tuple[Profile, int | None]:
    """Compile without some passes; the profile, and the limit that was written."""
    ctx = make_context()
    module = load_module(ctx, MODEL.read_bytes(), MODEL.name)
    passes = pipeline(target, leave_out | {EMIT})
    run_passes(ctx, module, parse_passes(passes, available_passes()))
    (program,) = (op for op in module.ops if isinstance(op, ProgramOp))
    limit = program.attributes.get(LIMIT_ATTR)
    profile = profile_module(module, MODEL.name, (), None, None)
    return profile, limit.value.data if isinstance(limit, IntegerAttr) else None


def files() -> dict[Path, str]:
    """The page and its pictures."""
    found = [(name, text, *step(target, leave_out)) for name, target, leave_out, text in STEPS]
    frame = max(p.cycles for _, _, p, _ in found), max(p.sram for _, _, p, _ in found)
    lines, pictures = [HEAD], dict[Path, str]()
    for number, (name, text, profile, limit) in enumerate(found, 1):
        (one,) = profile.timelines.values()
        pictures[DOCS / "timelines" / f"{name}.svg"] = as_svg(one, profile, limit, frame) + "\n"
        lines.append(f"## {number}. {profile.sram} bytes of SRAM, {profile.cycles} cycles\n")
        lines.append(f"{fill(text, 120)}\n")
        lines.append(f"![{name}](timelines/{name}.svg)\n")
    return {DOCS / "timelines.md": "\n".join(lines), **pictures}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8", newline="\n")
