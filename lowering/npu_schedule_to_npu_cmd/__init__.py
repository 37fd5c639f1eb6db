"""The parts of `convert-npu-schedule-to-npu-cmd`: program, feature maps, weights, launches, cascades."""
