"""What SSA values are called after tensors: what MLIR allows, no two alike, and unchanged by printing and parsing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuc.dialects.value_names import LONGEST, identifier, identifiers, name_values
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.tools.ir import elided_text, load_module, make_context


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("model/conv1/Relu;model/conv1/BiasAdd", "model_conv1_Relu"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall.0"),
        ("conv_1", "conv.1"),
        ("1st", "t1st"),
        ("12", "t12"),
        ("größe", "gr_e"),
        ("", None),
        (";x", None),
        ("//", None),
    ],
)
def test_identifier(tensor: str, name: str | None) -> None:
    assert identifier(tensor) == name


@given(st.lists(st.text(st.sampled_from("ab_.-/:;12é"), max_size=80), max_size=12))
def test_identifiers_are_unlike_and_as_the_printer_has_them(names: list[str]) -> None:
    given_names = [one for one in identifiers(names) if one is not None]
    assert len(set(given_names)) == len(given_names)
    for one in given_names:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_$.-]*", one)
        assert not re.search(r"_\d+$", one), "the printer would take the number for its own"
        assert len(one) <= LONGEST + 8


def test_many_names_alike_take_no_longer_each() -> None:
    names = identifiers(["a.3", *["a"] * 100_000])
    assert names[:5] == ["a.3", "a", "a.2", "a.4", "a.5"]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    "model", ["digits_cnn", "unet", "hard_swish_net", "split_to_concat", "separable_net", "no_operators"]
)
def test_names_survive_printing_and_parsing(models, model: str) -> None:
    module = import_tflite(models[model].path.read_bytes())
    name_values(module)
    named = {value.name_hint for op in module.walk() for value in op.results}
    text = str(module)
    again = load_module(make_context(), text.encode(), "names.mlir")
    assert {value.name_hint for op in again.walk() for value in op.results} == named
    assert elided_text(again) == elided_text(module)
