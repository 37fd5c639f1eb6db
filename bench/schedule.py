"""
SRAM and cycles of schedules, ours beside vela's two cores, by one judge over the command streams.

    python bench/schedule.py --vela VELA [--models DIR] [--match TEXT] [--accelerators A,B] [--optimise Size]
    python bench/schedule.py --each-pass [the same]

Every file is decoded and run through npuc.analysis.timeline, so no compiler's own estimate counts. SRAM is what the
file asks a runtime for: its scratch tensor, values of the host included. Ratios are ours over the better of vela's two.
With --each-pass our own schedules stand beside those that come out when a pass, or passes that belong together, are
left out: what each is good for.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import profile
from npuc.tools.pipeline import Target, pipeline

ROOT = Path(__file__).parents[1]
NETWORKS = (
    "mlperf_kws_int8",
    "mlperf_resnet8_int8",
    "mlperf_vww_int8",
    "tflm_person_detect",
    "coral_mobilenet_v1_0.25_128_quant",
    "coral_mobilenet_v2_1.0_224_quant",
)


TOGETHER = {
    "cascades": frozenset({"npu-schedule-plan-cascades", "npu-schedule-form-cascades"}),
    "buffers": frozenset({"npu-schedule-buffer-weights", "npu-schedule-split-weight-buffers"}),
    "splitting": frozenset({"npu-schedule-split-weight-buffers"}),
    "hoisting": frozenset({"npu-cmd-hoist-dma"}),
    "blocks": frozenset({"npu-schedule-select-blocks"}),
    "formats": frozenset({"npu-schedule-select-formats"}),
}
"""What is left out for a column of --each-pass."""


def by_vela(command: str, path: Path, accelerator: str, optimise: str, *options: str) -> tuple[int, int]:
    """SRAM in bytes and cycles of what vela makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [command, str(path), "--accelerator-config", accelerator, "--optimise", optimise]
        subprocess.run([*arguments, "--output-dir", folder, *options], check=True, capture_output=True)
        found = profile((Path(folder) / f"{path.stem}_vela.tflite").read_bytes())
        return found.sram, found.cycles


def by_us(path: Path, accelerator: str, optimise: str, left_out: frozenset[str] = frozenset()) -> tuple[int, int]:
    """SRAM in bytes and cycles of what npu-compile makes of it, some passes left out."""
    target = Target(accelerator, strategy="size" if optimise == "Size" else "performance")
    found = profile(compile_tflite(path.read_bytes(), target, passes=pipeline(target, left_out)).data)
    return found.sram, found.cycles


def print_each_pass(path: Path, accelerator: str, optimise: str) -> None:
    """SRAM and cycles of one network with all passes, and the ratios to them without some."""
    whole = by_us(path, accelerator, optimise)
    cells: list[str] = []
    for passes in TOGETHER.values():
        sram, cycles = by_us(path, accelerator, optimise, passes)
        cells.append(f"{sram / whole[0]:6.2f} {cycles / whole[1]:5.2f}")
    size = f"{whole[0] / 1024:7.1f} {whole[1] / 1000:8.0f}"
    print(f"{optimise:11} {accelerator:12} {path.stem:33} {size} {' '.join(cells)}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", metavar="COMMAND")
    parser.add_argument("--each-pass", action="store_true", help="what each pass adds, instead of vela's schedules")
    parser.add_argument("--models", default=str(ROOT.parent / "shared" / "models"), metavar="DIR")
    parser.add_argument("--match", default="")
    parser.add_argument("--accelerators", default="ethos-u55-128,ethos-u55-256")
    parser.add_argument("--optimise", default="Size,Performance")
    args = parser.parse_args()
    if not args.vela and not args.each_pass:
        parser.error("--vela COMMAND or --each-pass")
    if args.each_pass:
        print(f"{'':58} {'all passes':>16} {' '.join(f'{name:>12}' for name in TOGETHER)}")
    else:
        print(f"{'':58} {'ours':>16} {'vela legacy':>16} {'vela regor':>16} {'SRAM':>5} {'cycles':>6}")
    for optimise in args.optimise.split(","):
        for accelerator in args.accelerators.split(","):
            for name in NETWORKS:
                if args.match not in name:
                    continue
                path = Path(args.models) / f"{name}.tflite"
                if args.each_pass:
                    print_each_pass(path, accelerator, optimise)
                    continue
                ours = by_us(path, accelerator, optimise)
                legacy = by_vela(args.vela, path, accelerator, optimise, "--debug-force-legacy-core")
                regor = by_vela(args.vela, path, accelerator, optimise)
                cells = " ".join(f"{s / 1024:7.1f} {c / 1000:8.0f}" for s, c in (ours, legacy, regor))
                ratios = [ours[i] / min(legacy[i], regor[i]) for i in range(2)]
                print(f"{optimise:11} {accelerator:12} {name:33} {cells} {ratios[0]:5.2f} {ratios[1]:6.2f}", flush=True)
    print("SRAM in KiB, cycles in thousands" + ("; without each: ratios to all passes" if args.each_pass else ""))


if __name__ == "__main__":
    main()
