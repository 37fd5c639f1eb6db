"""The command-line tools: npu-opt, npu-compile, npu-run, npu-profile."""

from npuc.tools import process

if process.is_tool():
    process.start()
