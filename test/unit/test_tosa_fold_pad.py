"""tosa-fold-pad changes no value, and finds what there is to fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from property_tests import seeds
from random_network import random_network
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from npuc.dialects import tfl, tosa
from npuc.interpreters.tosa import run
from npuc.lowering.convert_tfl_to_tosa import ConvertTflToTosaPass
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.passes.tosa_fold_pad import TosaFoldPadPass

if TYPE_CHECKING:
    from conftest import TestModel


def pads(module: ModuleOp) -> int:
    return sum(isinstance(op, tosa.PadOp) for op in module.walk())


def has_tfl(module: ModuleOp) -> bool:
    return any(isinstance(op, tfl.TflOp) for op in module.walk())


def test_values_stay(models: dict[str, TestModel]) -> None:
    folded = 0
    for model in models.values():
        module = import_tflite(model.path.read_bytes())
        ConvertTflToTosaPass().apply(Context(), module)
        before = pads(module)
        if not before or not model.comparisons or has_tfl(module):
            continue
        TosaFoldPadPass().apply(Context(), module)
        module.verify()
        folded += before - pads(module)
        name = next(op.sym_name.data for op in module.ops if isinstance(op, FuncOp))
        for inputs, outputs in model.golden():
            for found, wanted in zip(run(module, inputs, name), outputs, strict=True):
                assert np.array_equal(found.reshape(wanted.shape), wanted), model.name
    assert folded >= 1


def test_random_networks() -> None:
    folded = 0
    for seed in seeds(60):
        module = import_tflite(random_network(seed))
        ConvertTflToTosaPass().apply(Context(), module)
        function = next(op for op in module.ops if isinstance(op, FuncOp))
        if not pads(module) or has_tfl(module):
            continue
        inputs = [np.random.default_rng(seed).integers(-128, 128, a.type.get_shape(), np.int8) for a in function.args]
        expected, before = run(module, inputs, function.sym_name.data), pads(module)
        TosaFoldPadPass().apply(Context(), module)
        module.verify()
        folded += before - pads(module)
        for found, wanted in zip(run(module, inputs, function.sym_name.data), expected, strict=True):
            assert np.array_equal(found, wanted), seed
    assert folded >= 1
