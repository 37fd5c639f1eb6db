"""
Figures for Model Explorer, which draws a TFLite model as a graph: node data of the source model's operators.

The JSON is that of its `node_data_builder.GraphNodeData`: for each figure one file, whose `results` are by node. A node
of its TFLite adapter has the number of the operator in the file as its name. Operators that were fused into another
have no value of their own: their time is in that one. Only the first subgraph is told about; no other has work for the
NPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from npuc.tools.profiling.attribution import Row, rows
from npuc.tools.profiling.profile import Profile

GRADIENT = ("#fff7ec", "#fdbb84", "#b30000")
"""Light to dark, the least to the most."""


def node_data(profile: Profile) -> dict[str, dict[str, Any]]:
    """For each figure (cycles, percent of the MAC array, bytes of SRAM held) the node data as JSON data."""
    rate = profile.machine.total_macs
    figures: dict[str, tuple[str, Callable[[list[Row]], float]]] = {
        "cycles": ("NPU cycles", lambda table: sum(row.cycles for row in table)),
        "utilisation": (
            "MAC array used (%)",
            lambda table: round(
                100 * sum(row.macs for row in table) / max(1, sum(row.cycles for row in table) * rate), 2
            ),
        ),
        "sram": ("SRAM held (bytes)", lambda table: max(row.holds for row in table)),
    }
    operators: dict[int, list[Row]] = {}
    for row in rows(profile):
        if row.sources and not row.sources[0].operator.subgraph:
            operators.setdefault(row.sources[0].operator.number, []).append(row)
    last = len(GRADIENT) - 1
    return {
        key: {
            "name": name,
            "results": {str(number): {"value": figure(table)} for number, table in sorted(operators.items())},
            "gradient": [{"stop": stop / last, "bgColor": colour} for stop, colour in enumerate(GRADIENT)],
        }
        for key, (name, figure) in figures.items()
    }
