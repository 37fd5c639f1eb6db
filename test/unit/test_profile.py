"""npu-profile refuses in one line what is no stream that the machine could run."""

import random
import struct
from pathlib import Path

import pytest

from npuc.tools.driver import UserError
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import as_data, as_html, as_text, as_trace, main, profile
from npuc.tools.pipeline import Target

MODEL = Path(__file__).parents[1] / "models" / "op_conv_3x3.tflite"


def test_damaged_streams_are_refused_in_one_line() -> None:
    whole = compile_tflite(MODEL.read_bytes(), Target("ethos-u55-128")).data
    at = whole.index(b"COP1") + 32
    end = whole.index(struct.pack("<I", 0xFFFF0000), at)
    draw = random.Random(1)
    refused: list[str] = []
    for _ in range(60):
        data = bytearray(whole)
        word = draw.randrange(at, end, 4)
        data[word + 2 : word + 4] = struct.pack("<H", draw.choice((0, 1, 2, 15, 255, 4096, 65535)))
        try:
            found = profile(bytes(data), name="file")
        except UserError as error:
            refused.append(str(error))
        else:
            assert as_data(found)
            assert as_text(found, 3)
            assert as_html(found, "file")
            assert as_trace(found)
    assert len(refused) > 10
    assert all(text.startswith("file: ") and len(text.splitlines()) == 1 for text in refused)


def test_a_negative_number_of_commands_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["file", "--top", "-1"]) == 1
    assert capsys.readouterr().err == "npu-profile: error: --top -1: a number of commands is not negative\n"
