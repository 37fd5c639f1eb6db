// Stored values are compared as they are, and any number of dimensions broadcasts.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule' --split-input-file | filecheck %s

// Axes that repeat alike are one: 2 and 3 here, and 4 and 5.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.elementwise min {{.*}} : (tensor<1x6x20x8xi8>, tensor<1x1x20x8xi8>) -> tensor<1x6x20x8xi8>
func.func @alike(%x: tensor<2x3x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>, %w: tensor<4x5x8x!quant.uniform<i8:f32, 0.25:4>>) -> tensor<2x3x4x5x8x!quant.uniform<i8:f32, 1.0>> {
  %y = tfl.minimum %x, %w : (tensor<2x3x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<4x5x8x!quant.uniform<i8:f32, 0.25:4>>) -> tensor<2x3x4x5x8x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<2x3x4x5x8x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Four axes that do not: a kernel for each index of the first one.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[A:.*]] = npu_schedule.elementwise max {{.*}} -> tensor<1x3x4x8xi8>
// CHECK: %[[B:.*]] = npu_schedule.elementwise max {{.*}} -> tensor<1x3x4x8xi8>
// CHECK: npu_schedule.concat %[[A]], %[[B]] {axis = #npu.ints<1>}
func.func @apart(%x: tensor<2x3x4x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x4x8x!quant.uniform<i8:f32, 0.5>> {
  %y = tfl.maximum %x, %w : (tensor<2x3x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x4x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x3x4x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: npu.cpu_reason = "broadcasting must take at most 64 kernels, not 65: tensor
func.func @many(%x: tensor<65x3x4x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<65x3x4x8x!quant.uniform<i8:f32, 0.5>> {
  %y = tfl.maximum %x, %w : (tensor<65x3x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<65x3x4x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<65x3x4x8x!quant.uniform<i8:f32, 0.5>>
}
