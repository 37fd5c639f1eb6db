"""
TOSA text that another tool wrote is read and computes what the network computes.

`tosa_of_others/*.tosa` are test models as Arm's tosa-converter-for-tflite writes them, softmax taken apart and all, in
LLVM's generic form (`tosa-converter-for-tflite M.tflite --text`, then `tosa-opt --mlir-print-op-generic`), without the
file's metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.parser import Parser

from npuc.dialects.tosa import TOSA
from npuc.interpreters.tosa import run

if TYPE_CHECKING:
    from conftest import TestModel

CONVERTED = Path(__file__).parent / "tosa_of_others"


@pytest.mark.parametrize("name", ["digits_cnn", "residual_net"])
def test_computes_the_network(name: str, models: dict[str, TestModel]) -> None:
    context = Context()
    for dialect in (Builtin, Func, TOSA):
        context.load_dialect(dialect)
    module = Parser(context, (CONVERTED / f"{name}.tosa").read_text()).parse_module()
    module.verify()
    compared = 0
    for inputs, outputs in models[name].golden():
        for found, wanted in zip(run(module, inputs), outputs, strict=True):
            assert np.array_equal(found, wanted)
            compared += wanted.size
    assert compared >= 80
