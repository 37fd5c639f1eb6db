"""
Every pass that only optimises can be left out, alone or with all the others, and the result is still exact: with the
strategy that cascades, and with the one that buffers most.
"""

from __future__ import annotations

from typing import Literal

import pytest

from npuc.simulator import Session, load
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import OPTIONAL, Target, pipeline

NETWORKS = (
    "concat_of_concat",
    "digits_cnn",
    "hard_swish_net",
    "int16x8_net",
    "pad_then_conv",
    "residual_net",
    "separable_net",
    "split_to_concat",
    "uint8_net",
    "unet",
)
CHOICES = [frozenset({name}) for name in sorted(OPTIONAL)] + [OPTIONAL]


@pytest.mark.parametrize("strategy", ["size", "performance"])
@pytest.mark.parametrize("left_out", CHOICES, ids=lambda names: "+".join(sorted(names)) if len(names) < 2 else "all")
def test_exact_without(models, left_out: frozenset[str], strategy: Literal["size", "performance"]) -> None:
    target = Target("ethos-u55-128", strategy=strategy)
    text = pipeline(target, left_out)
    assert not any(name in text.split(",") for name in left_out)
    compared = 0
    for name in NETWORKS:
        model = models[name]
        compiled = compile_tflite(model.path.read_bytes(), target, name=model.path.name, passes=text)
        session = Session(load(compiled.data))
        inputs, expected = next(iter(model.golden()))
        result = session.run(dict(enumerate(inputs)))
        assert result.reports == []
        for index, reference in zip(session.model.outputs, expected, strict=True):
            value = result.outputs[session.model.tensors[index].name]
            assert (value.reshape(-1) == reference.reshape(-1)).all(), f"{name} without {', '.join(sorted(left_out))}"
            compared += 1
    assert compared >= len(NETWORKS)
