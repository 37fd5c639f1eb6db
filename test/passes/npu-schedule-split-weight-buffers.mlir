// RUN: npu-opt %s -p npu-schedule-split-weight-buffers | filecheck %s
// RUN: npu-opt %s -p 'npu-schedule-split-weight-buffers,convert-npu-schedule-to-npu-cmd' | filecheck %s --check-prefix=CMD
// RUN: npu-opt %s -p convert-npu-schedule-to-npu-cmd | filecheck %s --check-prefix=WHOLE

// A 1x1 convolution to 64 channels, cut into slices of 32, 16 and 16. In turn they pass through two buffers.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @odd(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x64xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<64x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63]> : tensor<64xi64>,
      multiplier = dense<1073741824> : tensor<64xi32>, shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>

    // Each buffer is a value, as large as the largest of its own slices: the first holds 32 or 16 channels, the second
    // never more than 16 (10 bytes of bias and scale, 5 of weights a channel here).
    // CHECK-LABEL: @odd
    // CHECK: %[[A:.*]], %[[B:.*]] = npu_schedule.weight_buffers : !npu.buffer<464, arena>, !npu.buffer<240, arena>
    // CHECK: conv2d {{.*}} slices <0, 32, 48, 64> buffers <2> through %[[A]], %[[B]] :
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> slices <0, 32, 48, 64> buffers <2>
         : (tensor<1x4x4x16xi8>, tensor<64x1x1x16xi8>, !npu_schedule.scales<64>) -> tensor<1x4x4x64xi8>
    func.return %y : tensor<1x4x4x64xi8>
  }

    // The transfer of the next slice is issued right behind a launch, and runs beside it. A buffer is alive from the
    // transfer that fills it first; with three slices the second dies before the first.
    // CMD-LABEL: @odd
    // CMD: %[[A:.*]] = npu_cmd.alloc : !npu.buffer<464, arena>
    // CMD-NEXT: npu_cmd.dma from %{{.*}} to %[[A]] size <464>
    // CMD-NEXT: npu_cmd.conv {{.*}} weights %[[A]] <320, 144> scales %[[A]] <0, 320>
    // CMD-NEXT: %[[B:.*]] = npu_cmd.alloc : !npu.buffer<240, arena>
    // CMD-NEXT: npu_cmd.dma from %{{.*}} to %[[B]] size <240>
    // CMD-NEXT: npu_cmd.conv {{.*}} weights %[[B]]
    // CMD-NEXT: npu_cmd.dma from %{{.*}} to %[[A]] size <240>
    // CMD-NEXT: npu_cmd.free %[[B]]
    // CMD-NEXT: npu_cmd.conv {{.*}} weights %[[A]] <160, 80> scales %[[A]] <0, 160>
    // CMD-NEXT: npu_cmd.free %[[A]]

    // Without the pass there is one memory, alive all the time, with a part for each buffer.
    // WHOLE-LABEL: @odd
    // WHOLE: %[[AB:.*]] = npu_cmd.alloc : !npu.buffer<704, arena>
    // WHOLE-NEXT: npu_cmd.dma from %{{.*}} to %[[AB]] size <464>
    // WHOLE: npu_cmd.dma from %{{.*}} to %[[AB]] <464> size <240>
    // WHOLE: npu_cmd.dma from %{{.*}} to %[[AB]] size <240>
    // WHOLE: npu_cmd.free %[[AB]]

  // With an even number of slices it is the second buffer that lives to the end.
  // CMD-LABEL: @even
  // CMD: npu_cmd.conv {{.*}} weights %[[A:[0-9]+]]
  // CMD-NEXT: %[[B:.*]] = npu_cmd.alloc
  // CMD-NEXT: npu_cmd.dma from %{{.*}} to %[[B]]
  // CMD-NEXT: npu_cmd.free %[[A]]
  // CMD-NEXT: npu_cmd.conv {{.*}} weights %[[B]]
  // CMD-NEXT: npu_cmd.free %[[B]]
  func.func @even(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x32xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<32x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> slices <0, 16, 32> buffers <2>
         : (tensor<1x4x4x16xi8>, tensor<32x1x1x16xi8>, !npu_schedule.scales<32>) -> tensor<1x4x4x32xi8>
    func.return %y : tensor<1x4x4x32xi8>
  }

  // One buffer for three slices holds the largest of all, even or odd.
  // CHECK-LABEL: @single
  // CHECK: npu_schedule.weight_buffers : !npu.buffer<464, arena>
  // CHECK: conv2d {{.*}} slices <0, 16, 48, 64> buffers <1> through
  func.func @single(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x64xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<64x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> slices <0, 16, 48, 64> buffers <1>
         : (tensor<1x4x4x16xi8>, tensor<64x1x1x16xi8>, !npu_schedule.scales<64>) -> tensor<1x4x4x64xi8>
    func.return %y : tensor<1x4x4x64xi8>
  }

  // Two kernels in a row with the same weights share a buffer, and one transfer fills it for both.
  // CHECK-LABEL: @shared
  // CHECK: %[[A:.*]] = npu_schedule.weight_buffers
  // CHECK: through %[[A]]
  // CHECK-NOT: weight_buffers
  // CHECK: through %[[A]]
  // CMD-LABEL: @shared
  // CMD: npu_cmd.dma
  // CMD-NOT: npu_cmd.dma
  // CMD: npu_cmd.stop
  func.func @shared(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x16xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> buffers <1>
         : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x4x4x16xi8>
    %z = npu_schedule.conv2d %y, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> buffers <1>
         : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x4x4x16xi8>
    func.return %z : tensor<1x4x4x16xi8>
  }
}
