"""The lowerings of `convert-tosa-to-npu-schedule`, one file a family of operations."""
