// What weights pass through is memory of its own, as many values as the kernel says.
// RUN: npu-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: weights pass through writable memory, a multiple of 16 bytes, not !npu.buffer<1000, arena>
func.func @odd_size() {
  %b = npu_schedule.weight_buffers : !npu.buffer<1000, arena>
  func.return
}

// -----

// CHECK: weights pass through writable memory, a multiple of 16 bytes, not !npu.buffer<1024, read_only>
func.func @read_only() {
  %b = npu_schedule.weight_buffers : !npu.buffer<1024, read_only>
  func.return
}

// -----

// CHECK: weights pass through 1 values: say buffers <N> of that number
func.func @count(%x: tensor<1x4x4x16xi8>, %w: tensor<16x1x1x16xi8>, %s: !npu_schedule.scales<16>) {
  %b = npu_schedule.weight_buffers : !npu.buffer<1024, arena>
  %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
       activation <-128, 127> buffers <2> through %b
       : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>, !npu.buffer<1024, arena>)
         -> tensor<1x4x4x16xi8>
  func.return
}

// -----

// CHECK: the buffers that the slices of one kernel pass through are different values
func.func @twice(%x: tensor<1x4x4x16xi8>, %w: tensor<16x1x1x16xi8>, %s: !npu_schedule.scales<16>) {
  %b = npu_schedule.weight_buffers : !npu.buffer<1024, arena>
  %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
       activation <-128, 127> buffers <2> through %b, %b
       : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>, !npu.buffer<1024, arena>,
          !npu.buffer<1024, arena>) -> tensor<1x4x4x16xi8>
  func.return
}
