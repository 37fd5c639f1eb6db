// A sum is one pool, whose scale makes each result begin at the same sum as in LiteRT.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// LiteRT's default kernel rounds halves away from zero, so that the factor is a little above 1/4.
// CHECK-LABEL: func.func @signed
// CHECK: npu_schedule.pool average %x window <4x4> zero_points <-3, 7> scale <1074741584, shift 32, natural> {{.*}} -> tensor<1x1x1x8xi8>
func.func @signed(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x8x!quant.uniform<i8:f32, 2.0:7>> {
  %axes = tfl.pseudo_const dense<[1, 2]> : tensor<2xi32>
  %y = tfl.sum %x, %axes : (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2xi32>) -> tensor<1x8x!quant.uniform<i8:f32, 2.0:7>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 2.0:7>>
}

// -----

// The reference kernel of bytes without sign rounds twice.
// CHECK-LABEL: func.func @unsigned
// CHECK: npu_schedule.pool sum %x window <1x1> zero_points <3, 7> scale <1073741824, shift 32, double_round> {{.*}} -> tensor<1x4x4x1xui8>
func.func @unsigned(%x: tensor<1x4x4x8x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x4x4x!quant.uniform<u8:f32, 2.0:7>> {
  %axes = tfl.pseudo_const dense<-1> : tensor<1xi32>
  %y = tfl.sum %x, %axes : (tensor<1x4x4x8x!quant.uniform<u8:f32, 0.5:3>>, tensor<1xi32>) -> tensor<1x4x4x!quant.uniform<u8:f32, 2.0:7>>
  func.return %y : tensor<1x4x4x!quant.uniform<u8:f32, 2.0:7>>
}

// -----

// CHECK: 'tfl.sum': SUM must be scaled by a factor for which one rounds as LiteRT's float32 does
func.func @rounded_in_float32(%x: tensor<1x4x8x!quant.uniform<i8:f32, 0.05:-3>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.3:7>> {
  %axes = tfl.pseudo_const dense<2> : tensor<1xi32>
  %y = tfl.sum %x, %axes : (tensor<1x4x8x!quant.uniform<i8:f32, 0.05:-3>>, tensor<1xi32>) -> tensor<1x4x!quant.uniform<i8:f32, 0.3:7>>
  func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.3:7>>
}
