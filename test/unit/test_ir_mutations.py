"""Damaged inputs of the lit tests: every pass ends well or in one line with a place, never in an internal error."""

import random
import re
from pathlib import Path

import pytest

from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import PassFailure, available_passes, parse_passes, run_passes
from npuc.tools.verification import verify

TEST = Path(__file__).parents[1]
FOLDERS = ("lowering", "operators", "passes")
ROUNDS = 8
NUMBER = r"(?<![\w%@#.-])-?\d+(?!\w)"
"""A number by itself, not part of a name or a shape."""
SIZE = r"(?<=[<x])\d+(?=x)"
"""A dimension of a shape, or one of `3x3`."""
TYPE = r"(?<=x)u?i(?:8|16|32)\b"
VALUE = r"%\w+"


def chunks() -> dict[str, tuple[str, str]]:
    """Text and pipeline of every chunk of the lit tests of passes and operators, by name."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(path for folder in FOLDERS for path in (TEST / folder).glob("*.mlir")):
        text = path.read_text()
        run = re.search(r"RUN: (?:not )?npu-opt %s -p (?:'([^']*)'|(\S+))", text)
        if run is not None:
            for number, chunk in enumerate(text.split("// -----") if "--split-input-file" in text else [text]):
                found[f"{path.stem}-{number}"] = (chunk, run[1] or run[2])
    return found


CHUNKS = chunks()


def mutated(text: str, rng: random.Random) -> str:
    """One kind of token becomes another: everywhere, so that types still fit each other, or at one place."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    pattern = rng.choice((NUMBER, NUMBER, SIZE, SIZE, TYPE, VALUE))
    places = list(re.finditer(pattern, code))
    if not places:
        return code
    place = rng.choice(places)
    if pattern in (TYPE, VALUE):
        new = rng.choice([other[0] for other in places])
    else:
        old = int(place[0])
        new = str(rng.choice((old + 1, old - 1, 0, 1, 2, 3, -old, 2 * old, 17 * old, 255)))
    if pattern != VALUE and rng.random() < 0.6:
        return re.sub(f"{pattern.split(')')[0]}){re.escape(place[0])}(?=[x >,}}\\]:])", lambda _: new, code)
    return code[: place.start()] + new + code[place.end() :]


@pytest.mark.parametrize("name", CHUNKS)
def test_one_line_or_success(name: str) -> None:
    text, pipeline = CHUNKS[name]
    for number in range(ROUNDS):
        damaged = mutated(text, random.Random(f"{name} {number}"))
        ctx = make_context()
        try:
            module = load_module(ctx, damaged.encode(), "text")
            verify(module, "text")
            run_passes(ctx, module, parse_passes(pipeline, available_passes()), file="text")
        except UserError as error:
            message = str(error)
        except PassFailure as failure:
            message = failure.message + failure.details
        else:
            continue
        assert re.match(r"text: |text:\d+:\d+: ", message), f"{message}\n{damaged}"
        assert len(message.splitlines()) == 1, f"{message}\n{damaged}"  # no traceback behind it
