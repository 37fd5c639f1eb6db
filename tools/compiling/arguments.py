"""The command line of `npu-compile`. Option names and defaults are vela's."""

from __future__ import annotations

import argparse

from npuc.tools import driver


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = driver.command_line("npu-compile", "Compile a quantised TFLite model for Arm Ethos-U55/U65")
    out.add_argument("model", metavar="MODEL.tflite")
    out.add_argument("--accelerator-config", default="ethos-u55-256", metavar="NAME")
    out.add_argument("--config", metavar="FILE.ini", help="system configurations and memory modes in vela's format")
    out.add_argument("--system-config", metavar="NAME")
    out.add_argument("--memory-mode", metavar="NAME")
    out.add_argument(
        "--arena-cache-size",
        type=int,
        metavar="BYTES",
        help="memory there is for feature maps: a limit, and to be spent. Without it, and where the memory mode names "
        "no size, Performance takes no more than whole feature maps need, and no buffers beside them",
    )
    out.add_argument(
        "--external-inputs", action="store_true", help="inputs of the network lie outside of the arena where they can"
    )
    out.add_argument(
        "--integer-io", action="store_true", help="drop QUANTIZE of float inputs and DEQUANTIZE of float outputs"
    )
    out.add_argument(
        "--round-trip",
        type=int,
        default=0,
        metavar="CYCLES",
        help="what an invocation of the NPU costs the host: cheaper regions between its operators stay on the CPU",
    )
    out.add_argument(
        "--optimise",
        choices=("Performance", "Size"),
        default="Performance",
        help="cycles first, or the least memory at no more than 1.25 times those cycles",
    )
    out.add_argument("--output-dir", default="output", metavar="DIR")
    out.add_argument("-o", "--output", metavar="FILE.tflite", help="instead of DIR/MODEL_npuc.tflite")
    out.add_argument("--parts-dir", metavar="DIR", help="also write command streams and read-only data as files")
    out.add_argument("--json", action="store_true", help="print the summary as JSON")
    out.add_argument("--report", metavar="FILE.html", help="write a page that shows where time and memory go")
    out.add_argument(
        "--no-debug-info", action="store_true", help="leave out which operator of the source each command works for"
    )
    out.add_argument("--dump-ir", metavar="DIR", help="write the module after each pass to files in DIR")
    out.add_argument("--pipeline", metavar="PASSES", help="run these passes in place of the usual ones")
    out.add_argument("--print-pipeline", action="store_true", help="print the passes that would run, and stop")
    out.add_argument(
        "--verify-each", action="store_true", help="verify after every pass, not only where a level is complete"
    )
    return out
