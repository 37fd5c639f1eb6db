"""Vela's files, to stand beside ours: made by the command of an installed vela, and kept where a folder is named."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from npuc.hardware.memory import BUILT_IN
from npuc.tools.errors import UserError
from npuc.tools.sweep.plan import VELA, Combination


def vela_version(command: str) -> str:
    """What `vela --version` says; raises UserError where it cannot be run."""
    return f"vela {_run([command, '--version'], command).strip()}"


def compile_by_vela(command: str, data: bytes, made_of: Combination, kept_in: str | None = None) -> bytes:
    """
    The file that vela makes of a model. With `kept_in`, a folder, it is made once and kept under the names of all that
    it depends on and a part of the model's hash.

    Raises UserError with the last line that vela wrote where it fails.
    """
    kept = None if kept_in is None else Path(kept_in) / _file_name(made_of)
    if kept is not None and kept.exists():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "network.tflite"
        source.write_bytes(data)
        arguments = [command, str(source), "--accelerator-config", made_of.accelerator, "--optimise", made_of.strategy]
        for config in made_of.config or (BUILT_IN,):
            arguments += ["--config", config]
        arguments += ["--system-config", made_of.system_config]
        arguments += ["--memory-mode", made_of.memory_mode, "--output-dir", folder, *VELA[made_of.compiler]]
        said = _run(arguments, f"{made_of.compiler} {made_of.strategy}")
        made = Path(folder) / "network_vela.tflite"
        if not made.exists():
            raise UserError(f"{made_of.compiler} {made_of.strategy}: {_last_line(said) or 'no file'}")
        compiled = made.read_bytes()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(compiled)
        part.replace(kept)
    return compiled


def _file_name(made_of: Combination) -> str:
    from npuc.hardware.accelerators import accelerator
    from npuc.hardware.memory import default_names

    usual = default_names(accelerator(made_of.accelerator))[0]
    other = (made_of.system_config,) if made_of.system_config != usual else ()
    core = made_of.compiler.removeprefix("vela ")
    config = (made_of.config_sha256[:8],) if made_of.config_sha256 else ()
    machine = (made_of.accelerator, made_of.memory_mode, *other, *config)
    return ".".join((made_of.model, *machine, made_of.strategy, core, made_of.sha256[:8], "tflite"))


def _run(arguments: Sequence[str], what: str) -> str:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{arguments[0]}: {error.strerror}") from None
    if done.returncode:
        raise UserError(f"{what}: {_last_line(done.stdout + done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return " ".join(lines[-1].split()) if lines else ""
