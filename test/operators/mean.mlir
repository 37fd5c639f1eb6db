// The mean of a tensor is one pool, or two where its axes are apart.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// An average without padding is a sum times a scale: here 1/16, the scales being equal.
// CHECK-LABEL: func.func @rows_and_columns
// CHECK: npu_schedule.pool average %x window <4x4> zero_points <-3, 7> scale <1073741824, shift 34, double_round> {{.*}} -> tensor<1x1x1x8xi8>
// CHECK: npu_schedule.reshape {{.*}} -> tensor<1x8xi8>
func.func @rows_and_columns(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:7>> {
  %axes = tfl.pseudo_const dense<[1, 2]> : tensor<2xi32>
  %y = tfl.mean %x, %axes : (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2xi32>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:7>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:7>>
}

// -----

// Images of a batch lie below each other, the elements of each side by side.
// CHECK-LABEL: func.func @batch
// CHECK: %[[V:.*]] = npu_schedule.reshape %x : tensor<3x4x4x8xi8> -> tensor<1x3x16x8xi8>
// CHECK: npu_schedule.pool average %[[V]] window <1x16>
func.func @batch(%x: tensor<3x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<3x8x!quant.uniform<i8:f32, 0.5:7>> {
  %axes = tfl.pseudo_const dense<[1, 2]> : tensor<2xi32>
  %y = tfl.mean %x, %axes : (tensor<3x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2xi32>) -> tensor<3x8x!quant.uniform<i8:f32, 0.5:7>>
  func.return %y : tensor<3x8x!quant.uniform<i8:f32, 0.5:7>>
}

// -----

// The sum of 4 elements of 8 bits fits 16, and the pool over the depth reads it.
// CHECK-LABEL: func.func @apart
// CHECK: %[[SUM:.*]] = npu_schedule.pool average %x window <4x1> zero_points <-3, 0> scale <1, shift 0, natural> {{.*}} -> tensor<1x1x5x8xi16>
// CHECK: npu_schedule.pool sum %[[SUM]] window <1x1> zero_points <0, 7> scale <1073741824, shift 35, double_round> {{.*}} -> tensor<1x1x5x1xi8>
func.func @apart(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x5x!quant.uniform<i8:f32, 0.5:7>> {
  %axes = tfl.pseudo_const dense<[1, 3]> : tensor<2xi32>
  %y = tfl.mean %x, %axes : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2xi32>) -> tensor<1x5x!quant.uniform<i8:f32, 0.5:7>>
  func.return %y : tensor<1x5x!quant.uniform<i8:f32, 0.5:7>>
}

// -----

// That of values of 16 bits does not.
// CHECK-LABEL: func.func @apart_in_32_bits
// CHECK: %[[SUM:.*]] = npu_schedule.depthwise_conv2d %x, {{.*}} window <4x1> {{.*}} -> tensor<1x1x5x8xi32>
// CHECK: npu_schedule.pool sum %[[SUM]]
func.func @apart_in_32_bits(%x: tensor<1x4x5x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x5x!quant.uniform<i16:f32, 0.5>> {
  %axes = tfl.pseudo_const dense<[1, 3]> : tensor<2xi32>
  %y = tfl.mean %x, %axes : (tensor<1x4x5x8x!quant.uniform<i16:f32, 0.5>>, tensor<2xi32>) -> tensor<1x5x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x5x!quant.uniform<i16:f32, 0.5>>
}

// -----

// CHECK: 'tfl.mean': axes that are apart must have sums that fit 16 bits, or end with the depth
func.func @neither(%x: tensor<3x4x5x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<4x8x!quant.uniform<i16:f32, 0.5>> {
  %axes = tfl.pseudo_const dense<[0, 2]> : tensor<2xi32>
  %y = tfl.mean %x, %axes : (tensor<3x4x5x8x!quant.uniform<i16:f32, 0.5>>, tensor<2xi32>) -> tensor<4x8x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<4x8x!quant.uniform<i16:f32, 0.5>>
}
