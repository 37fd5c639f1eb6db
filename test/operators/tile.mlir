// What is repeated is copied from what has been written.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// Twice, twice that, and once more.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[TWO:.*]] = npu_schedule.concat {{.*}} -> tensor<1x4x4x8xi8>
// CHECK: npu_schedule.copy %[[TWO]]
// CHECK: npu_schedule.concat {{.*}} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>, tensor<1x4x2x8xi8>) -> tensor<1x4x10x8xi8>
func.func @five_times(%x: tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x10x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[1, 1, 5, 1]> : tensor<4xi32>
  %y = tfl.tile %x, %0 : (tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi32>) -> tensor<1x4x10x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x10x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Dimensions in front, then the inner axis before the outer.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.concat {{.*}} -> tensor<1x1x2x8xi8>
// CHECK: npu_schedule.concat {{.*}} -> tensor<1x4x2x8xi8>
func.func @broadcast(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[1, 4, 2, 8]> : tensor<4xi32>
  %y = tfl.broadcast_to %x, %0 : (tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi32>) -> tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "the shape must be the one that the operator makes, 1x4x10x8: tensor '' (1x4x9x8)"
func.func @other_shape(%x: tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x9x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[1, 1, 5, 1]> : tensor<4xi32>
  %y = tfl.tile %x, %0 : (tensor<1x4x2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi32>) -> tensor<1x4x9x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x9x8x!quant.uniform<i8:f32, 0.5:3>>
}
