"""Arm's tosa-opt, where it is installed (`pip install tosa-tools`), accepts what convert-tfl-to-tosa makes."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.printer import Printer
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.quant import StorageCastOp, quantization, storage_tensor
from npuc.lowering.convert_tfl_to_tosa import ConvertTflToTosaPass
from npuc.lowering.tflite.import_tflite import import_tflite

if TYPE_CHECKING:
    from conftest import TestModel

TOSA_OPT = shutil.which("tosa-opt")
PROFILE = (
    "--tosa-convert-integer-type-to-signless",
    "--tosa-attach-target=profiles=pro_int extensions=int16,int4,doubleround,inexactround specification_version=1.0",
    "--tosa-validate",
)


def plain(function: FuncOp, name: str) -> FuncOp:
    """A function that is tosa between quantised edges as one that is wholly tosa, without attributes of tfl."""
    for argument in function.args:
        if quantization(argument):
            Rewriter.replace_value_with_new_type(argument, storage_tensor(argument.type))
    for op in list(function.body.block.ops):
        if isinstance(op, StorageCastOp):
            op.result.replace_all_uses_with(op.input)
            Rewriter.erase_op(op)
    function.update_function_type()
    function.detach()
    return FuncOp(name, function.function_type, function.detach_region(function.body))


def accepted(functions: list[FuncOp], *options: str) -> str:
    """What tosa-opt has against a module of `functions`; empty if nothing."""
    text = io.StringIO()
    Printer(text, print_generic_format=True).print_op(ModuleOp([function.clone() for function in functions]))
    assert TOSA_OPT is not None
    run = subprocess.run([TOSA_OPT, *options, "-"], input=text.getvalue(), text=True, capture_output=True)
    return run.stderr if run.returncode else ""


@pytest.mark.skipif(TOSA_OPT is None, reason="tosa-opt is not installed")
def test_models_are_accepted(models: dict[str, TestModel]) -> None:
    """All are read; but for the extensions that docs/dialects/tosa.md names they conform to TOSA's integer profile."""
    all_of_them: list[FuncOp] = []
    in_profile: list[FuncOp] = []
    for model in models.values():
        module = import_tflite(model.path.read_bytes())
        ConvertTflToTosaPass().apply(Context(), module)
        if any(isinstance(op, tfl.TflOp) for op in module.walk()):
            continue
        functions = [op for op in module.ops if isinstance(op, FuncOp)]
        assert len(functions) == 1
        function = plain(functions[0], model.name)
        all_of_them.append(function)
        names = {op.name for op in function.walk()}
        if "ui8" not in str(function.function_type) and not names & {"tosa.minimum", "tosa.maximum"}:
            in_profile.append(function)
    assert len(all_of_them) > 200
    assert not accepted(all_of_them)
    assert len(in_profile) > 140
    assert not accepted(in_profile, *PROFILE)
