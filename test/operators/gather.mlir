// Constant indices are runs, each of which is a copy.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// Every second row, and one more.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<2, 1, 1>} : tensor<1x9x4x8xi8> -> tensor<1x4x4x8xi8>
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<5, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x9x4x8xi8> -> tensor<1x1x4x8xi8>
func.func @runs(%x: tensor<1x9x4x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x5x4x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[0, 2, 4, 6, 5]> : tensor<5xi32>
  %y = tfl.gather %x, %0 {axis = 1 : i32} : (tensor<1x9x4x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<5xi32>) -> tensor<1x5x4x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x5x4x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Columns twice: in turn is side by side in the depth.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.concat {{.*}} {axis = #npu.ints<3>} : {{.*}} -> tensor<1x2x4x16xi8>
// CHECK: npu_schedule.reshape {{.*}} -> tensor<1x2x8x8xi8>
func.func @in_turn(%x: tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x2x8x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[0, 0, 1, 1, 2, 2, 3, 3]> : tensor<8xi32>
  %y = tfl.gather %x, %0 {axis = 2 : i32} : (tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<8xi32>) -> tensor<1x2x8x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x2x8x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "indices must lie within the axis: tensor '' (2)"
func.func @outside(%x: tensor<1x9x4x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[0, 9]> : tensor<2xi32>
  %y = tfl.gather %x, %0 {axis = 1 : i32} : (tensor<1x9x4x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>) -> tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Each batch has indices of its own: rows of all batches.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<1, 0, 0>, strides = #npu.ints<12, 1, 1>} : tensor<1x18x1x8xi8> -> tensor<1x2x1x8xi8>
func.func @batches(%x: tensor<2x9x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<2x1x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[[1], [4]]> : tensor<2x1xi32>
  %y = tfl.gather %x, %0 {axis = 1 : i32, batch_dims = 1 : i32} : (tensor<2x9x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2x1xi32>) -> tensor<2x1x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<2x1x8x!quant.uniform<i8:f32, 0.5:3>>
}
