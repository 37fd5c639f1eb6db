"""
Writes docs/timelines.md and its pictures: the network of test/tour/schedule.mlir, its kernels, transfers and memory,
before and after each of the passes that schedule it. `python docs/make_timelines.py`
"""

from __future__ import annotations

from pathlib import Path

from npuc.tools import driver
from npuc.tools.npu_profile import as_svg, profile_module
from npuc.tools.pipeline import COMMANDS

DOCS = Path(__file__).parent
MODEL = DOCS.parent / "test" / "tour" / "schedule.mlir"
FORMATS = ("npu-schedule-select-formats",)
CASCADES = (
    'npu-schedule-limit-sram{strategy="size"}',
    "npu-schedule-plan-cascades",
    "npu-schedule-form-cascades",
)
BLOCKS = ("npu-schedule-select-blocks",)
SPLIT = ("npu-schedule-split-weight-buffers",)
LOWER = tuple(name for name in COMMANDS if name != "npu-cmd-hoist-dma")
HOIST = (LOWER[0], "npu-cmd-hoist-dma", *LOWER[1:])

STEPS = (
    ("whole", (*FORMATS, *BLOCKS, *LOWER), "Whole feature maps; the pinned pair of weight buffers is one allocation."),
    ("cascaded", (*FORMATS, *CASCADES, *BLOCKS, *LOWER), "Two kernels cascaded through a rolling buffer."),
    ("split", (*FORMATS, *CASCADES, *BLOCKS, *SPLIT, *LOWER), "The pair of weight buffers is two, each as it needs."),
    ("hoisted", (*FORMATS, *CASCADES, *BLOCKS, *SPLIT, *HOIST), "Transfers issued behind the kernels that hide them."),
)
HEAD = """\
# What the scheduling passes do to memory

Made by `docs/make_timelines.py` from the network of `test/tour/schedule.mlir`, for ethos-u55-128. Time runs to the
right. Blue bars are kernels, orange bars transfers; below them the bytes of SRAM in use, the address upwards: blue what
kernels have written, orange what transfers have brought, grey what the host has put there. The scales of the pictures
differ; the numbers are those of `npu-profile`.
"""


def main() -> None:
    """Lower, profile and draw each step."""
    lines = [HEAD]
    for name, passes, text in STEPS:
        ctx = driver.make_context()
        module = driver.load_module(ctx, MODEL.read_bytes(), MODEL.name)
        driver.run_passes(ctx, module, driver.parse_passes(",".join(passes), driver.available_passes()))
        found = profile_module(module, MODEL.name, (), None, None)
        (one,) = found.timelines.values()
        (DOCS / "timelines" / f"{name}.svg").write_text(as_svg(one, found) + "\n")
        lines.append(f"**{text}** {found.sram} bytes of SRAM, {found.cycles} cycles.\n")
        lines.append(f"![{name}](timelines/{name}.svg)\n")
    (DOCS / "timelines.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
