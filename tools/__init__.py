"""The command-line tools: npu-opt, npu-compile, npu-run, npu-profile."""
