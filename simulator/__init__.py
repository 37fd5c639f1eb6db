"""
The simulator: executes an Ethos-U command stream from its bytes and reports every rule it breaks.

Imports the register map of `npuc.hardware` and nothing else of the compiler.
"""

from npuc.simulator.memory import ExecutionError, Report
from npuc.simulator.runner import RunResult, Session, execute_payload, load, run
from npuc.simulator.stream import Op, Program, StreamError, parse_payload, parse_words
from npuc.simulator.tflite import CompiledModel, FileError

__all__ = [
    "CompiledModel",
    "ExecutionError",
    "FileError",
    "Op",
    "Program",
    "Report",
    "RunResult",
    "Session",
    "StreamError",
    "execute_payload",
    "load",
    "parse_payload",
    "parse_words",
    "run",
]
