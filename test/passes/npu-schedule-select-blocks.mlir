// RUN: npu-opt %s -p npu-schedule-select-blocks | filecheck %s

// Each kernel gets the block in which it takes the fewest estimated cycles.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: @blocks
  func.func @blocks(%x: tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8> attributes {npu.region} {
    // CHECK: pool max {{.*}} block <{{[0-9]+}}x{{[0-9]+}}x16> :
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8>

    // A block that stands in the IR is a decision that somebody has made: it stays, good or not.
    // CHECK: pool max {{.*}} block <1x2x16> :
    %b = npu_schedule.pool max %a window <1x1> zero_points <0, 0> activation <-128, 127> block <1x2x16>
         : (tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8>

    // In stripes of two rows no launch is higher than that, so no block needs to be.
    // CHECK: pool max {{.*}} block <{{[12]}}x{{[0-9]+}}x16> stripe <2> :
    %d = npu_schedule.pool max %b window <1x1> zero_points <0, 0> activation <-128, 127> stripe <2>
         : (tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8>

    // A copy runs as a kernel as well.
    // CHECK: copy %{{.*}} block <{{[0-9]+}}x{{[0-9]+}}x16>
    %e = npu_schedule.copy %d : tensor<1x32x32x16xi8> -> tensor<1x32x32x16xi8>
    func.return %e : tensor<1x32x32x16xi8>
  }

  // Depth slices of 32 channels: a block of 64 could not be filled.
  // CHECK-LABEL: @sliced
  // CHECK: conv2d {{.*}} block <{{[0-9]+}}x{{[0-9]+}}x{{16|32}}> slices <0, 32, 64> :
  func.func @sliced(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x64xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<64x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> slices <0, 32, 64>
         : (tensor<1x8x8x16xi8>, tensor<64x1x1x16xi8>, !npu_schedule.scales<64>) -> tensor<1x8x8x64xi8>
    func.return %y : tensor<1x8x8x64xi8>
  }

  // Alone, a single pixel would get a block of all 64 channels, as it does in the second function. But the first kernel
  // has the same weights: in blocks as deep as its own they are encoded to the same bytes, which are stored once.
  // CHECK-LABEL: @equal_weights
  // CHECK: conv2d {{.*}} block <{{[0-9]+}}x{{[0-9]+}}x32> :
  // CHECK: conv2d {{.*}} block <1x{{[0-9]+}}x32> :
  func.func @equal_weights(%x: tensor<1x16x16x64xi8>, %z: tensor<1x1x1x64xi8>)
      -> (tensor<1x16x16x64xi8>, tensor<1x1x1x64xi8>) attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<64x1x1x64xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %a = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x64xi8>, tensor<64x1x1x64xi8>, !npu_schedule.scales<64>) -> tensor<1x16x16x64xi8>
    %b = npu_schedule.conv2d %z, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x1x1x64xi8>, tensor<64x1x1x64xi8>, !npu_schedule.scales<64>) -> tensor<1x1x1x64xi8>
    func.return %a, %b : tensor<1x16x16x64xi8>, tensor<1x1x1x64xi8>
  }

  // CHECK-LABEL: @other_weights
  // CHECK: conv2d {{.*}} block <1x{{[0-9]+}}x64> :
  func.func @other_weights(%z: tensor<1x1x1x64xi8>) -> tensor<1x1x1x64xi8> attributes {npu.region} {
    %v = npu_schedule.constant dense<2> : tensor<64x1x1x64xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %b = npu_schedule.conv2d %z, %v, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x1x1x64xi8>, tensor<64x1x1x64xi8>, !npu_schedule.scales<64>) -> tensor<1x1x1x64xi8>
    func.return %b : tensor<1x1x1x64xi8>
  }
}
