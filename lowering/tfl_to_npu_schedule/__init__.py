"""The lowerings of `convert-tfl-to-npu-schedule`, one file an operator or family."""
