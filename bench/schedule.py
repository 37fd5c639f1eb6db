"""
SRAM and cycles of schedules, ours beside vela's two cores, by one judge over the command streams.

    python bench/schedule.py --vela VELA [--models DIR] [--match TEXT] [--accelerators A,B] [--optimise Size]

Every file is decoded and run through npuc.analysis.timeline, so no compiler's own estimate counts. SRAM is the highest
address that any command touches. Ratios are ours over the better of vela's two.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import profile
from npuc.tools.pipeline import Target

ROOT = Path(__file__).parents[1]
NETWORKS = (
    "mlperf_kws_int8",
    "mlperf_resnet8_int8",
    "mlperf_vww_int8",
    "tflm_person_detect",
    "coral_mobilenet_v1_0.25_128_quant",
    "coral_mobilenet_v2_1.0_224_quant",
)


def by_vela(command: str, path: Path, accelerator: str, optimise: str, *options: str) -> tuple[int, int]:
    """SRAM in bytes and cycles of what vela makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [command, str(path), "--accelerator-config", accelerator, "--optimise", optimise]
        subprocess.run([*arguments, "--output-dir", folder, *options], check=True, capture_output=True)
        found = profile((Path(folder) / f"{path.stem}_vela.tflite").read_bytes())
        return found.sram, found.cycles


def by_us(path: Path, accelerator: str, optimise: str) -> tuple[int, int]:
    """SRAM in bytes and cycles of what npu-compile makes of it."""
    found = profile(
        compile_tflite(
            path.read_bytes(), Target(accelerator, strategy="size" if optimise == "Size" else "performance")
        ).data
    )
    return found.sram, found.cycles


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", required=True, metavar="COMMAND")
    parser.add_argument("--models", default=str(ROOT.parent / "shared" / "models"), metavar="DIR")
    parser.add_argument("--match", default="")
    parser.add_argument("--accelerators", default="ethos-u55-128,ethos-u55-256")
    parser.add_argument("--optimise", default="Size,Performance")
    args = parser.parse_args()
    print(f"{'':58} {'ours':>16} {'vela legacy':>16} {'vela regor':>16} {'SRAM':>5} {'cycles':>6}")
    for optimise in args.optimise.split(","):
        for accelerator in args.accelerators.split(","):
            for name in NETWORKS:
                if args.match not in name:
                    continue
                path = Path(args.models) / f"{name}.tflite"
                ours = by_us(path, accelerator, optimise)
                legacy = by_vela(args.vela, path, accelerator, optimise, "--debug-force-legacy-core")
                regor = by_vela(args.vela, path, accelerator, optimise)
                cells = " ".join(f"{s / 1024:7.1f} {c / 1000:8.0f}" for s, c in (ours, legacy, regor))
                ratios = [ours[i] / min(legacy[i], regor[i]) for i in range(2)]
                print(f"{optimise:11} {accelerator:12} {name:33} {cells} {ratios[0]:5.2f} {ratios[1]:6.2f}", flush=True)
    print("SRAM in KiB, cycles in thousands")


if __name__ == "__main__":
    main()
