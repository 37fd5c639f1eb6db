"""What `npu-sweep` does, one file for each purpose: plan, measure on many processes, keep, compare, show."""
