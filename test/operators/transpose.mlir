// A permutation is as many copies as groups of axes change places.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// Rows and columns stay together: one copy of single elements.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[SEEN:.*]] = npu_schedule.transpose {{.*}} : tensor<1x20x8x1xi8> -> tensor<1x8x20x1xi8>
// CHECK: npu_schedule.copy %[[SEEN]] : tensor<1x8x20x1xi8>
func.func @groups(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8x4x5x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[0, 3, 1, 2]> : tensor<4xi32>
  %y = tfl.transpose %x, %0 : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi32>) -> tensor<1x8x4x5x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x8x4x5x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "the permutation must name each dimension once: tensor '' (4)"
func.func @no_permutation(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = tfl.pseudo_const dense<[0, 1, 1, 3]> : tensor<4xi32>
  %y = tfl.transpose %x, %0 : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi32>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5:3>>
}
