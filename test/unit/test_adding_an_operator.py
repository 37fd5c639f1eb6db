"""The file that docs/adding-an-operator.md shows is all that an operator takes."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
from one_operator import HAS_LITERT, check
from tiny_writer import Model, Op, Subgraph, Tensor, constant

from npuc import operators

PAGE = Path(__file__).parents[2] / "docs" / "adding-an-operator.md"


@pytest.fixture
def gather_nd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "gather_nd.py").write_text(source)
    modules = operators._modules  # pyright: ignore[reportPrivateUsage]
    caches = (modules, operators.operator_class, operators.tfl_dialect)
    with monkeypatch.context() as patch:
        patch.setattr(operators, "__path__", [*operators.__path__, str(tmp_path)])
        for cached in caches:
            cached.cache_clear()
        yield
    for cached in caches:
        cached.cache_clear()


def model(indices: list[int]) -> Model:
    x, y = (Tensor(name, (size, 3, 8), "int8", 0.5, -7) for name, size in (("x", 5), ("y", len(indices))))
    picked = constant("indices", np.array(indices, np.int32).reshape(-1, 1))
    return Model(Subgraph([x], [y], [Op("GATHER_ND", [x, picked], [y])]))


@pytest.mark.usefixtures("gather_nd")
def test_the_example_is_taken_and_exact() -> None:
    outcome = check(model([3, 0, 0, 4]))
    assert outcome.reason is None
    assert outcome.compared > 0 or not HAS_LITERT


@pytest.mark.usefixtures("gather_nd")
def test_the_example_refuses_by_its_rule() -> None:
    reason = check(model([3, 5])).reason
    assert reason == "the indices must lie within the input: tensor 'indices' (2x1)"


def test_without_the_file_the_operator_stays_on_the_cpu() -> None:
    assert check(model([3, 0])).reason == "operator GATHER_ND is not supported"


def test_operators_are_found_in_the_sources_as_their_records_say() -> None:
    """Sources are searched for names, so that a model loads the files of its own operators only."""
    folder = operators.__path__[0]
    modules = [import_module(f"npuc.operators.{info.name}") for info in iter_modules([folder]) if not info.ispkg]
    records = [record for module in modules for record in module.OPERATORS]
    assert operators.all_operators() == {record.op: record for record in records}
    for record in records:
        assert operators.operator_class(record.name) is record.op
    assert operators.operator_class("GATHER_ND") is None
