"""What `npu-profile` and the summary of `npu-compile` say about a compiled network, one file for each purpose."""
