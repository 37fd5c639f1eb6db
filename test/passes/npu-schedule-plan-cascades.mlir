// RUN: npu-opt %s -p npu-schedule-plan-cascades --split-input-file | filecheck %s

// Depth 8, 32, 32, 8: whole, the pool takes 16384 bytes. Of the schedules that need no more than 9000 the quickest has
// stripes of four rows. It keeps what a launch of each consumer sees: six rows of %a (512 bytes a row) under the 3x3
// window, four of %b under the 1x1 window. With %x and %c, 2048 bytes each, that is 9216. So %c is to lie over %x, of which
// enough rows have been read before rows of %c are written.

// CHECK-LABEL: @bottleneck
// CHECK: conv2d %[[X:x]], %{{.*}} cascade <0> stripe <4> rolling <6> :
// CHECK: pool max {{.*}} cascade <0> stripe <4> rolling <4> :
// CHECK: conv2d %{{.*}} cascade <0> stripe <4> over %[[X]] :
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @bottleneck(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8>
      attributes {npu.region, npu.sram_limit = 9000 : i64} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %c = npu_schedule.conv2d %b, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x16x16x8xi8>
    func.return %c : tensor<1x16x16x8xi8>
  }
}

// -----

// Nothing is planned where all fits as it stands, or where nobody has set a limit.

// CHECK-LABEL: @bottleneck
// CHECK-NOT: cascade
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @bottleneck(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8>
      attributes {npu.region, npu.sram_limit = 16384 : i64} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %c = npu_schedule.conv2d %b, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x16x16x8xi8>
    func.return %c : tensor<1x16x16x8xi8>
  }
}

// -----

// Decisions that stand in the IR stay: one row a launch has been written on the pool. What feeds it follows.

// CHECK-LABEL: @bottleneck
// CHECK: conv2d %{{.*}} cascade <0> stripe <1> rolling <3> :
// CHECK: pool max {{.*}} cascade <0> stripe <1> rolling <8> :
// CHECK: conv2d %{{.*}} cascade <0> stripe <8> over %{{.*}} :
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @bottleneck(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8>
      attributes {npu.region, npu.sram_limit = 9000 : i64} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> stripe <1>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %c = npu_schedule.conv2d %b, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x16x16x8xi8>
    func.return %c : tensor<1x16x16x8xi8>
  }
}

// -----

// A stripe of all its rows keeps a kernel out of cascades: the last reads all of %b. A kernel can be cut alone, too, for its
// result to lie over what it reads: %b begins before %a, of which each of its launches has read all that it writes over.

// CHECK-LABEL: @bottleneck
// CHECK: %[[A:a]] = npu_schedule.conv2d %{{.*}} activation <-128, 127> :
// CHECK: pool max {{.*}} cascade <0> stripe <4> over %[[A]] :
// CHECK: conv2d %{{.*}} activation <-128, 127> stripe <16> :
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @bottleneck(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8>
      attributes {npu.region, npu.sram_limit = 12288 : i64} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %c = npu_schedule.conv2d %b, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> stripe <16>
         : (tensor<1x16x16x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x16x16x8xi8>
    func.return %c : tensor<1x16x16x8xi8>
  }
}

// -----

// Two branches that are joined, and a kernel that reads them as one: all in one cascade, and the parts in one rolling buffer
// of as many rows as the reader sees at a time. The result lies over what the branches read.

// CHECK-LABEL: @fire
// CHECK: pool max %x {{.*}} cascade <0> stripe <8> rolling <8> :
// CHECK: pool max %x {{.*}} cascade <0> stripe <8> rolling <8> :
// CHECK: concat %a, %b
// CHECK: pool max %c {{.*}} cascade <0> stripe <4> over %x :
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @fire(%x: tensor<1x16x16x16xi8>) -> tensor<1x8x8x32xi8>
      attributes {npu.region, npu.sram_limit = 9000 : i64} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %b = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
         : (tensor<1x16x16x16xi8>, tensor<1x16x16x16xi8>) -> tensor<1x16x16x32xi8>
    %d = npu_schedule.pool max %c window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x8x8x32xi8>
    func.return %d : tensor<1x8x8x32xi8>
  }
}

// -----

// All that lies in the fast memory fits as it stands; %a, of 64 KiB, has been spilled to the slow arena. In a cascade its rows
// need not go there: they live in a rolling buffer in the fast memory.

!far = tensor<1x64x64x16xi8>
// CHECK-LABEL: @spilled
// CHECK: pool max {{.*}} cascade <0> stripe <{{[0-9]+}}> rolling <{{[0-9]+}}> : (tensor<1x64x64x16xi8>) -> tensor<1x64x64x16xi8, #npu.layout<nhwc, fast>>
// CHECK: pool max {{.*}} cascade <0>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 40000>} {
  func.func @spilled(%x: !far) -> !far attributes {npu.region, npu.sram_limit = 40000 : i64} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> : (!far) -> !far
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> : (!far) -> !far
    func.return %b : !far
  }
}
