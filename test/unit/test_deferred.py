"""Dataclasses with methods that are compiled at the first call behave as those of the standard library."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from npuc.tools.deferred import NAMES, defer_dataclass_methods


@pytest.fixture(autouse=True)
def deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(dataclasses, "_create_fn"):
        pytest.skip("this Python compiles all methods of a dataclass at once")
    monkeypatch.setattr(dataclasses, "_create_fn", dataclasses._create_fn)  # pyright: ignore
    defer_dataclass_methods()


def point() -> Any:
    @dataclasses.dataclass(frozen=True, order=True)
    class Point:
        x: int
        y: int = 2

    return Point


def test_methods_do_what_they_do_otherwise() -> None:
    cls = point()
    assert cls(1) == cls(1, 2) != cls(1, 3)
    assert cls(1) != (1, 2)
    assert hash(cls(1)) == hash((1, 2))
    assert repr(cls(1)).endswith("Point(x=1, y=2)")
    assert cls(1) < cls(1, 3) <= cls(2)
    assert cls(2) > cls(1) >= cls(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls(1).x = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        del cls(1).x
    assert dataclasses.replace(cls(1), y=5) == cls(1, 5)


@pytest.mark.parametrize(("name", "call"), [("__init__", lambda cls: cls(1)), ("__hash__", lambda cls: hash(cls(1)))])
def test_a_method_is_compiled_once_and_stays(name: str, call: Callable[[Any], Any]) -> None:
    cls = point()
    before = cls.__dict__[name]
    call(cls)
    compiled = cls.__dict__[name]
    assert compiled is not before
    call(cls)
    assert cls.__dict__[name] is compiled


def test_an_object_is_made_as_it_is_otherwise() -> None:
    @dataclasses.dataclass
    class Base:
        x: int
        z: int = dataclasses.field(default=5, kw_only=True)

    @dataclasses.dataclass
    class Below(Base):
        y: list[int] = dataclasses.field(default_factory=list[int])
        total: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.total = self.x + self.z + sum(self.y)

    assert [Below(1, [2], z=3).total, Below(x=1).total, Base(1).z] == [6, 6, 5]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Below()  # pyright: ignore[reportCallIssue]
    assert list(inspect.signature(Below).parameters) == ["x", "y", "z"]


def test_classes_that_share_methods_both_get_them() -> None:
    """As where a class is made anew from the entries of another: irdl_attr_definition does."""
    cls = point()
    copy = type("Copy", cls.__mro__[1:], {k: v for k, v in vars(cls).items() if k != "__dict__"})
    assert hash(copy(1)) == hash(cls(1)) == hash(copy(1))
    assert cls.__dict__["__hash__"] is copy.__dict__["__hash__"]


def test_a_class_below_has_its_own_methods() -> None:
    cls = point()

    @dataclasses.dataclass(frozen=True)
    class Below(cls):
        z: int = 3

    assert hash(Below(1)) == hash((1, 2, 3))
    assert hash(cls(1)) == hash((1, 2))
    assert Below(1) != cls(1)


def test_each_deferred_name_is_a_method_of_some_dataclass() -> None:
    cls = point()
    assert set(vars(cls)) >= NAMES
