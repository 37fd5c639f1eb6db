"""What `--list-config-files` and `--list-configs` print: system configurations and memory modes by name."""

from __future__ import annotations

from npuc.hardware.memory import BUILT_IN, configurations, system_files
from npuc.tools.errors import UserError


def list_files() -> str:
    """The files that are built in, as `--config` names them."""
    return "\n".join(["Available config files:", BUILT_IN, *system_files()])


def list_configs(file: str) -> str:
    """The sections of one file with what they say of themselves, and of the real systems too; raises UserError."""
    try:
        lines = [f"Configurations defined in {file}:", *_lines(file)]
        if file == BUILT_IN:
            lines.append("Real systems, which need no --config:")
            lines += [line for other in system_files() for line in _lines(other)]
    except ValueError as error:
        raise UserError(f"--list-configs: {error}") from None
    return "\n".join(lines)


def _lines(file: str) -> list[str]:
    return [
        f"   {name:40} {section['description']}" if "description" in section else f"   {name}"
        for name, section in configurations(file).items()
    ]
