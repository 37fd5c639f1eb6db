// Borders are read backwards.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// The second and third column, all, and the last but one.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice %[[X:.*]] {offsets = #npu.ints<0, 2, 0>, strides = #npu.ints<1, -1, 1>} : tensor<1x4x5x8xi8> -> tensor<1x4x2x8xi8>
// CHECK: npu_schedule.copy %[[X]]
// CHECK: npu_schedule.slice %[[X]] {offsets = #npu.ints<0, 3, 0>, {{.*}} -> tensor<1x4x1x8xi8>
func.func @reflect(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[[0, 0], [0, 0], [2, 1], [0, 0]]> : tensor<4x2xi32>
  %y = tfl.mirror_pad %x, %0 {mode = "REFLECT"} : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x2xi32>) -> tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "there must not be more padding than there is to mirror: tensor '' (1x4x5x8)"
func.func @too_much(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8x5x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[[0, 0], [4, 0], [0, 0], [0, 0]]> : tensor<4x2xi32>
  %y = tfl.mirror_pad %x, %0 {mode = "REFLECT"} : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x2xi32>) -> tensor<1x8x5x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x8x5x8x!quant.uniform<i8:f32, 0.5:3>>
}
