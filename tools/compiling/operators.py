"""The page that `--supported-ops-report` writes: which TFLite operators the NPU takes."""

from __future__ import annotations

from npuc.operators import all_operators

PAGE = "SUPPORTED_OPS.md"


def page() -> str:
    """A table of all operators, from their records."""
    lines = [
        "# Supported operators",
        "",
        "Operators that npuc puts on Ethos-U55 and Ethos-U65. All others stay on the CPU, and so does an operator of",
        "the table in a form that the NPU does not take: `npu-compile` then says which rule it breaks.",
        "",
        "| operator | types | kernels |",
        "| --- | --- | --- |",
        *(
            f"| {record.name} | {', '.join(record.types)} | {record.kernels} |"
            for record in sorted(all_operators().values(), key=lambda record: record.name)
        ),
    ]
    return "\n".join(lines) + "\n"
