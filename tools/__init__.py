"""The command-line tools: npu-opt, npu-compile, npu-run, npu-profile, npu-sweep."""

from npuc.tools import process

if process.is_tool():
    process.start()
    from npuc.tools.deferred import defer_dataclass_methods

    defer_dataclass_methods()
