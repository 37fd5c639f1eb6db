"""
The summary of a compilation as a file with vela's name and columns.

What a column means for vela it means here as far as there is such a thing; docs/vela.md says where not.
"""

from __future__ import annotations

from npuc.hardware.accelerators import accelerator
from npuc.hardware.memory import memory_setup
from npuc.tools.compiling.compile import Compiled
from npuc.tools.compiling.figures import MEMORIES, Figures, csv_text, figures
from npuc.tools.pipeline import Target
from npuc.tools.profiling.attribution import rows

COLUMNS = {"Sram": "sram", "Dram": "dram", "OnChipFlash": "on_chip_flash", "OffChipFlash": "off_chip_flash"}
"""Memories in the names of columns."""
DISPLAYED = {"Sram": "SRAM", "Dram": "DRAM", "OnChipFlash": "On-chip Flash", "OffChipFlash": "Off-chip Flash"}
"""Memories in cells, and where people read them."""


def summary_csv(network: str, target: Target, compiled: Compiled) -> str:
    """One line of figures under vela's titles: seconds, Hertz, KiB for sizes of memories, bytes for all else."""
    summary, profile = compiled.summary, compiled.profile
    machine = accelerator(summary.accelerator)
    setup = memory_setup(machine, target.config, summary.system_config, summary.memory_mode, target.limit)
    known = Figures() if profile is None else figures(profile, summary.read_only)
    seconds = summary.cycles / setup.core_clock
    each_second = 1 / seconds if seconds else float("nan")
    cascades = 0 if profile is None else len(rows(profile, "cascade"))
    on_cpu = sum(summary.cpu_operators.values())
    row: dict[str, object] = {
        "experiment": "default",
        "network": network,
        "accelerator_configuration": "_".join(part.capitalize() for part in summary.accelerator.split("-")),
        "system_config": setup.system_config,
        "memory_mode": setup.memory_mode,
        "core_clock": setup.core_clock,
        "arena_cache_size": setup.arena_cache_size / 1024,
        **{f"{COLUMNS[name]}_bandwidth": known.bandwidth[name] / 2**30 for name in MEMORIES},
        "weights_storage_area": DISPLAYED[setup.constants.name],
        "feature_map_storage_area": DISPLAYED[setup.arena.name],
        "inferences_per_second": each_second,
        "batch_size": 1,
        "inference_time": seconds,
        "passes_before_fusing": summary.npu_operators + on_cpu,
        "passes_after_fusing": cascades + on_cpu,
        **{f"{COLUMNS[name]}_memory_used": known.used[name] / 1024 for name in MEMORIES},
        "total_original_weights": summary.source_weights,
        "total_npu_encoded_weights": summary.encoded_weights,
    }
    for name in MEMORIES:
        moved = known.traffic[name]
        row |= {
            f"{COLUMNS[name]}_feature_map_read_bytes": moved.feature_maps_read,
            f"{COLUMNS[name]}_feature_map_write_bytes": moved.feature_maps_written,
            f"{COLUMNS[name]}_weight_read_bytes": moved.weights_read,
            f"{COLUMNS[name]}_weight_write_bytes": moved.weights_written,
            f"{COLUMNS[name]}_total_bytes": moved.total,
        }
    row |= {"nn_macs": summary.macs, "nn_tops": summary.macs * 2 * each_second / 1e12}
    row |= {"cycles_npu": known.kernel_cycles}
    row |= {f"cycles_{COLUMNS[name]}_access": known.busy[name] for name in MEMORIES}
    row |= {"cycles_total": summary.cycles}
    return csv_text([list(row), list(row.values())])
