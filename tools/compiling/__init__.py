"""What `npu-compile` is made of: its command line, one compilation, and what is said about it."""
