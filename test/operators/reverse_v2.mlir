// Copies are written backwards.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// Rows, then columns.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice {{.*}} {offsets = #npu.ints<3, 0, 0>, strides = #npu.ints<-1, 1, 1>}
// CHECK: npu_schedule.slice {{.*}} {offsets = #npu.ints<0, 4, 0>, strides = #npu.ints<1, -1, 1>}
func.func @both(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[1, -2]> : tensor<2xi32>
  %y = tfl.reverse_v2 %x, %0 : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>) -> tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "no axis may be reversed twice: tensor '' (2)"
func.func @twice(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[1, -3]> : tensor<2xi32>
  %y = tfl.reverse_v2 %x, %0 : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>) -> tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>
}
