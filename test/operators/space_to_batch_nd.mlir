// Every second row and column is an image of its own.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// A row of the zero point on top, then columns and rows change places.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.constant dense<3> : tensor<1x1x6x8xi8>
// CHECK: npu_schedule.transpose {{.*}} : tensor<1x12x2x8xi8> -> tensor<1x2x12x8xi8>
// CHECK: npu_schedule.transpose {{.*}} : tensor<1x4x2x24xi8> -> tensor<1x2x4x24xi8>
func.func @to_batch(%x: tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[2, 2]> : tensor<2xi32>
  %1 = tfl.pseudo_const dense<[[1, 0], [0, 0]]> : tensor<2x2xi32>
  %y = tfl.space_to_batch_nd %x, %0, %1 : (tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// The other way round, less the first row.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.transpose
// CHECK: npu_schedule.slice {{.*}} {offsets = #npu.ints<1, 0, 0>, {{.*}} : tensor<1x4x6x8xi8> -> tensor<1x3x6x8xi8>
func.func @to_space(%x: tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[2, 2]> : tensor<2xi32>
  %1 = tfl.pseudo_const dense<[[1, 0], [0, 0]]> : tensor<2x2xi32>
  %y = tfl.batch_to_space_nd %x, %0, %1 : (tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "blocks must fill the padded input: tensor '' (1x3x6x8)"
func.func @part_of_a_block(%x: tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[2, 2]> : tensor<2xi32>
  %1 = tfl.pseudo_const dense<[[0, 0], [0, 0]]> : tensor<2x2xi32>
  %y = tfl.space_to_batch_nd %x, %0, %1 : (tensor<1x3x6x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<4x2x3x8x!quant.uniform<i8:f32, 0.5:3>>
}
