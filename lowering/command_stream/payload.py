"""
The driver payload: a command stream wrapped as Arm's driver takes it from the first input of an `ethos-u` operator.

Little-endian words: "COP1", the action that states machine and version, NOPs, and the action that introduces the
command stream, which starts 16-byte aligned. docs/artefacts.md has the table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from npuc.hardware import registers
from npuc.hardware.accelerators import ACCELERATORS, Accelerator

_CONFIG = 1 << 20 | registers.ACTION_CONFIG  # Release 0, patch 1 of the action.


class Payload(NamedTuple):
    """What a payload holds: the machine that it was made for, and the words of its command stream."""

    accelerator: Accelerator
    words: tuple[int, ...]


def wrap(words: Sequence[int], acc: Accelerator) -> bytes:
    """The payload around a command stream; ValueError if the stream is longer than the machine takes."""
    if 4 * len(words) > registers.MAX_STREAM_BYTES:
        raise ValueError(f"a command stream has at most {registers.MAX_STREAM_BYTES} bytes, not {4 * len(words)}")
    head = [registers.PAYLOAD_FOURCC, _CONFIG, acc.config_word, acc.id_word]
    head += [registers.ACTION_NOP] * (-(len(head) + 1) % 4)
    head.append((len(words) & 0xFFFF) << 16 | (len(words) >> 16) << 8 | registers.ACTION_COMMAND_STREAM)
    return struct.pack(f"<{len(head) + len(words)}I", *head, *words)


def unwrap(data: bytes) -> Payload:
    """The machine and the command stream of a payload; ValueError, in one line, for what no driver would take."""
    if len(data) % 4:
        raise ValueError(f"a driver payload is made of 4-byte words, not of {len(data)} bytes")
    words = struct.unpack(f"<{len(data) // 4}I", data)
    if not words or words[0] != registers.PAYLOAD_FOURCC:
        raise ValueError("a driver payload starts with COP1")
    by_config = {acc.config_word: acc for acc in ACCELERATORS.values()}
    acc: Accelerator | None = None
    at = 1
    while at < len(words):
        match words[at] & 0xFF:
            case registers.ACTION_CONFIG if at + 2 < len(words):
                acc = by_config.get(words[at + 1])
                if acc is None:
                    raise ValueError(f"config word {words[at + 1]:#010x} is that of no machine known here")
                at += 3
            case registers.ACTION_NOP:
                at += 1
            case registers.ACTION_COMMAND_STREAM if acc is not None:
                length = words[at] >> 16 | (words[at] >> 8 & 0xFF) << 16
                at += 1
                if at + length > len(words):
                    raise ValueError(f"a command stream of {length} words is cut short at {len(words) - at}")
                return Payload(acc, words[at : at + length])
            case _:
                raise ValueError(f"word {at} of the driver payload, {words[at]:#010x}, is out of place")
    raise ValueError("a driver payload without command stream")
