// RUN: npu-opt %s -p npu-schedule-share-weights | filecheck %s
// RUN: npu-opt %s -p 'npu-schedule-share-weights,npu-schedule-split-weight-buffers,convert-npu-schedule-to-npu-cmd' | filecheck %s --check-prefix=CMD
// RUN: npu-opt %s -p 'npu-schedule-split-weight-buffers,convert-npu-schedule-to-npu-cmd' | filecheck %s --check-prefix=TWICE

// Equal weights of kernels with different scales, read in place and through a buffer.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: @different
  func.func @different(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x16xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %again = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %t = npu_schedule.scales {bias = dense<7> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<31> : tensor<16xi8>} : !npu_schedule.scales<16>
    // CHECK: conv2d {{.*}} scales_apart :
    // CHECK: conv2d {{.*}} scales_apart buffers <1> :
    // CHECK: conv2d {{.*}} scales_apart buffers <1> :
    %a = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x4x4x16xi8>
    %b = npu_schedule.conv2d %a, %again, %t window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1> : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x4x4x16xi8>
    %c = npu_schedule.conv2d %b, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1> : (tensor<1x4x4x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x4x4x16xi8>
    func.return %c : tensor<1x4x4x16xi8>
  }

    // One constant for all weights, and one for each of the scales. Only weights pass through the buffer, which the
    // third kernel finds filled.
    // CMD-LABEL: @different
    // CMD: npu_cmd.conv {{.*}} weights %[[W:[0-9]+]] <0, [[SIZE:[0-9]+]]> scales %[[S:[0-9]+]] <0, 160>
    // CMD: npu_cmd.dma from %[[W]] to %[[B:.*]] size <[[SIZE]]>
    // CMD-NEXT: npu_cmd.conv {{.*}} weights %[[B]] <0, [[SIZE]]> scales %[[T:[0-9]+]] <0, 160>
    // CMD-NOT: npu_cmd.dma
    // CMD: npu_cmd.conv {{.*}} weights %[[B]] <0, [[SIZE]]> scales %[[S]] <0, 160>

    // Without the pass weights stand behind each of the scales.
    // TWICE-LABEL: @different
    // TWICE: npu_cmd.conv {{.*}} weights %[[A:[0-9]+]] <160, {{[0-9]+}}> scales %[[A]] <0, 160>
    // TWICE: npu_cmd.dma
    // TWICE: npu_cmd.conv {{.*}} weights %[[B:[0-9]+]] <160, {{[0-9]+}}> scales %[[B]] <0, 160>
    // TWICE: npu_cmd.dma

  // Equal in both: one run of bytes already. In other blocks the weights would have another order.
  // CHECK-LABEL: @equal
  // CHECK-NOT: scales_apart
  func.func @equal(%x: tensor<1x4x4x32xi8>) -> tensor<1x4x4x32xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<3> : tensor<32x1x1x32xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %t = npu_schedule.scales {bias = dense<7> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<31> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> : (tensor<1x4x4x32xi8>, tensor<32x1x1x32xi8>, !npu_schedule.scales<32>) -> tensor<1x4x4x32xi8>
    %b = npu_schedule.conv2d %a, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x16> : (tensor<1x4x4x32xi8>, tensor<32x1x1x32xi8>, !npu_schedule.scales<32>) -> tensor<1x4x4x32xi8>
    %c = npu_schedule.conv2d %b, %w, %t window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> block <4x4x32> : (tensor<1x4x4x32xi8>, tensor<32x1x1x32xi8>, !npu_schedule.scales<32>) -> tensor<1x4x4x32xi8>
    func.return %c : tensor<1x4x4x32xi8>
  }
}
