// Tensors along a new axis, and the parts of one.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// An axis of one element in each operand, along which they are joined.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.copy %{{.*}} : tensor<1x2x1x8xi8>
// CHECK: npu_schedule.concat {{.*}} {axis = #npu.ints<2>} : (tensor<1x2x1x8xi8>, tensor<1x2x1x8xi8>) -> tensor<1x2x2x8xi8>
func.func @pack(%x0: tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, %x1: tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<2x2x8x!quant.uniform<i8:f32, 0.5:3>> {
  %y = tfl.pack %x0, %x1 {values_count = 2 : i32, axis = 1 : i32} : (tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<2x2x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<2x2x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Parts, of which each is a slice.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<0, 1, 0>, {{.*}} -> tensor<1x2x1x8xi8>
// CHECK: npu_schedule.reshape {{.*}} -> tensor<2x8xi8>
func.func @unpack(%x: tensor<2x2x8x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>) {
  %y0, %y1 = tfl.unpack %x {num = 2 : i32, axis = -2 : i32} : (tensor<2x2x8x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>)
  func.return %y0, %y1 : tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "UNPACK must have a result for each element of the axis: tensor '' (2x3x8)"
func.func @too_few(%x: tensor<2x3x8x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>) {
  %y0, %y1 = tfl.unpack %x {num = 2 : i32, axis = 1 : i32} : (tensor<2x3x8x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>)
  func.return %y0, %y1 : tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x8x!quant.uniform<i8:f32, 0.5:3>>
}
