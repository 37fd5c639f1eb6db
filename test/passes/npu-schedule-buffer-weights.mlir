// RUN: npu-opt %s --split-input-file -p npu-schedule-buffer-weights | filecheck %s
// RUN: npu-opt %s --split-input-file -p npu-schedule-buffer-weights,npu-schedule-split-weight-buffers | filecheck %s --check-prefix=SPLIT

// Flash gives about one byte a cycle here, SRAM eight: weights are worth having in SRAM before their kernel needs them, and
// the room below the limit decides which of them can be.

module attributes {npu.target = #npu.target<"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram">} {
  // CHECK-LABEL: @below_the_limit
  func.func @below_the_limit(%x: tensor<1x16x16x16xi8>) -> tensor<1x2x2x32xi8>
      attributes {npu.region, npu.sram_limit = 8192} {
    %w0 = npu_schedule.constant dense<1> : tensor<16x3x3x16xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %w1 = npu_schedule.constant dense<1> : tensor<32x3x3x16xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>

    // At the peak: 4096 bytes are read, 4096 are written, nothing is left of the 8192. The weights stay in flash.
    // CHECK: conv2d
    // CHECK-NOT: buffers
    // CHECK-SAME: -> tensor<1x16x16x16xi8>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <3x3, pad 1 1 1 1> zero_points <0, 0>
         scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
         : (tensor<1x16x16x16xi8>, tensor<16x3x3x16xi8>, !npu_schedule.scales<16>) -> tensor<1x16x16x16xi8>

    // Below it there is room, here 8192 - 4096 - 1024 bytes. But the weights of this kernel would have to wait for
    // their transfer, for which the kernel before leaves neither room nor, as it reads flash itself, time: read in place
    // they are sooner there.
    // CHECK: conv2d
    // CHECK-NOT: buffers
    // CHECK-SAME: -> tensor<1x8x8x16xi8>
    %b = npu_schedule.conv2d %a, %w0, %s0 window <3x3, stride 2x2, pad 1 1 1 1> zero_points <0, 0>
         scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
         : (tensor<1x16x16x16xi8>, tensor<16x3x3x16xi8>, !npu_schedule.scales<16>) -> tensor<1x8x8x16xi8>

    // The transfer for this one has time and room beside the pool: one buffer for the whole stream.
    // CHECK: conv2d {{.*}} buffers <1> : {{.*}} -> tensor<1x2x2x32xi8>
    %p = npu_schedule.pool max %b window <8x8, pad 3 3 4 4> zero_points <0, 0> activation <-128, 127> block <4x4x16>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.conv2d %p, %w1, %s1 window <3x3, stride 3x3> zero_points <0, 0>
         scale <per_channel, double_round> activation <-128, 127> block <2x2x16>
         : (tensor<1x8x8x16xi8>, tensor<32x3x3x16xi8>, !npu_schedule.scales<32>) -> tensor<1x2x2x32xi8>
    func.return %c : tensor<1x2x2x32xi8>
  }
}

// -----

// Here flash gives half as much.
module attributes {npu.target = #npu.target<"ethos-u55-128", "Ethos_U55_Deep_Embedded", "Shared_Sram">} {
  // The stream of 64 channels has 2192 bytes, and there is room for 1752. In place it would be read again for each of
  // four blocks. In slices it passes through two buffers; the slice that is needed first is there in time.
  // CHECK-LABEL: @in_slices
  // CHECK: conv2d {{.*}} slices <0, 32, 48, 64> buffers <2> : {{.*}} -> tensor<1x4x4x64xi8>
  // SPLIT-LABEL: @in_slices
  // SPLIT: weight_buffers : !npu.buffer<1104, arena>, !npu.buffer<560, arena>
  func.func @in_slices(%x: tensor<1x8x8x16xi8>) -> tensor<1x4x4x64xi8> attributes {npu.region, npu.sram_limit = 3800} {
    %w1 = npu_schedule.constant dense<1> : tensor<64x3x3x16xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %b = npu_schedule.pool max %x window <8x8, pad 3 3 4 4> zero_points <0, 0> activation <-128, 127> block <4x4x16>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.conv2d %b, %w1, %s1 window <3x3, stride 2x2, pad 1 1 1 1> zero_points <0, 0>
         scale <per_channel, double_round> activation <-128, 127> block <2x2x16>
         : (tensor<1x8x8x16xi8>, tensor<64x3x3x16xi8>, !npu_schedule.scales<64>) -> tensor<1x4x4x64xi8>
    func.return %c : tensor<1x4x4x64xi8>
  }
}
