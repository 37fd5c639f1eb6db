"""What comes of an item that a process works on: what the function made of it, or why there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Died(Exception):
    """An item without an answer, because its process ended or the function raised; the text is one line."""


def answer_of(function: Callable[[Item], Answer], item: Item) -> Answer | Died:
    """What the function makes of an item, or what it raised."""
    try:
        return function(item)
    except Exception as error:  # one broken item must not end the rest
        return died_of(error)


def died_of(error: BaseException) -> Died:
    """The same of an error that is at hand."""
    return Died(" ".join(f"{type(error).__name__}: {error}".split()))
