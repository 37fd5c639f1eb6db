// Products of matrices: the rows of one times all of the other, summed up over the depth.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// X has fewer rows. Y is transposed to have its depth last; all products go through one pool.
// CHECK-LABEL: func.func @rows
// CHECK: %[[T:.*]] = npu_schedule.copy
// CHECK: npu_schedule.slice %x {offsets = #npu.ints<0, 0, 0>
// CHECK: %[[A:.*]] = npu_schedule.elementwise mul {{.*}} zero_points <-3, 5, 0> scale <1, shift 0, natural> {{.*}} -> tensor<1x3x3x4xi32>
// CHECK: npu_schedule.slice %x {offsets = #npu.ints<0, 1, 0>
// CHECK: %[[B:.*]] = npu_schedule.elementwise mul
// CHECK: %[[C:.*]] = npu_schedule.concat %[[A]], %[[B]] {{.*}} -> tensor<1x6x3x4xi32>
// CHECK: npu_schedule.pool sum %[[C]] window <1x1> zero_points <0, 7> scale <1073741824, shift 34, double_round> {{.*}} -> tensor<1x6x3x1xi8>
func.func @rows(%x: tensor<1x1x2x4x!quant.uniform<i8:f32, 0.5:5>>, %y: tensor<1x1x4x9x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<1x1x2x9x!quant.uniform<i8:f32, 2.0:7>> {
  %z = tfl.batch_matmul %x, %y : (tensor<1x1x2x4x!quant.uniform<i8:f32, 0.5:5>>, tensor<1x1x4x9x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<1x1x2x9x!quant.uniform<i8:f32, 2.0:7>>
  func.return %z : tensor<1x1x2x9x!quant.uniform<i8:f32, 2.0:7>>
}

// -----

// Y transposed has fewer rows than X: each is a column of the result. Batches are rows of the maps.
// CHECK-LABEL: func.func @columns
// CHECK-NOT: npu_schedule.copy
// CHECK: %[[X:.*]] = npu_schedule.reshape %x
// CHECK: %[[Y:.*]] = npu_schedule.reshape %y
// CHECK: npu_schedule.slice %[[Y]] {offsets = #npu.ints<0, 0, 0>{{.*}} -> tensor<1x3x1x4xi8>
// CHECK: %[[A:.*]] = npu_schedule.elementwise mul %[[X]], {{.*}} -> tensor<1x3x5x4xi32>
// CHECK: %[[B:.*]] = npu_schedule.elementwise mul %[[X]]
// CHECK: %[[C:.*]] = npu_schedule.concat %[[A]], %[[B]] {axis = #npu.ints<3>} : {{.*}} -> tensor<1x3x5x8xi32>
// CHECK: %[[V:.*]] = npu_schedule.reshape %[[C]] : tensor<1x3x5x8xi32> -> tensor<1x15x2x4xi32>
// CHECK: npu_schedule.pool sum %[[V]] {{.*}} -> tensor<1x15x2x1xi8>
func.func @columns(%x: tensor<3x5x4x!quant.uniform<i8:f32, 0.5:5>>, %y: tensor<3x2x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<3x5x2x!quant.uniform<i8:f32, 2.0:7>> {
  %z = tfl.batch_matmul %x, %y {adj_y = true} : (tensor<3x5x4x!quant.uniform<i8:f32, 0.5:5>>, tensor<3x2x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<3x5x2x!quant.uniform<i8:f32, 2.0:7>>
  func.return %z : tensor<3x5x2x!quant.uniform<i8:f32, 2.0:7>>
}

// -----

// CHECK: 'tfl.batch_matmul': batches must be equal, or 1 in one of the operands
func.func @broadcast(%x: tensor<2x1x5x4x!quant.uniform<i8:f32, 0.5:5>>, %y: tensor<1x3x2x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<2x3x5x2x!quant.uniform<i8:f32, 2.0:7>> {
  %z = tfl.batch_matmul %x, %y {adj_y = true} : (tensor<2x1x5x4x!quant.uniform<i8:f32, 0.5:5>>, tensor<1x3x2x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<2x3x5x2x!quant.uniform<i8:f32, 2.0:7>>
  func.return %z : tensor<2x3x5x2x!quant.uniform<i8:f32, 2.0:7>>
}
