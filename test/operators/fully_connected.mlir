// Weights that are computed at run time are multiplied by each row of the input.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// The bias is one more product of each sum, which is rounded once.
// CHECK-LABEL: func.func @computed_weights
// CHECK: %[[W:.*]] = npu_schedule.reshape %w : tensor<6x4xi8> -> tensor<1x3x2x4xi8>
// CHECK: %[[P:.*]] = npu_schedule.elementwise mul %[[W]], {{.*}} zero_points <-3, 5, 0> {{.*}} -> tensor<1x3x2x4xi32>
// CHECK: %[[B:.*]] = npu_schedule.copy {{.*}} tensor<1x3x2x1xi32>
// CHECK: %[[T:.*]] = npu_schedule.concat %[[P]], %[[B]] {{.*}} -> tensor<1x3x2x5xi32>
// CHECK: npu_schedule.pool sum %[[T]] {{.*}} scale <{{.*}}, natural> activation <7, 127>
func.func @computed_weights(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:5>>, %w: tensor<6x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<1x6x!quant.uniform<i8:f32, 1.7:7>> {
  %b = tfl.pseudo_const dense<[1, 2, 3, 4, 5, 6]> : tensor<6xi32>
  %z = tfl.fully_connected %x, %w, %b {fused_activation_function = "RELU"} : (tensor<1x4x!quant.uniform<i8:f32, 0.5:5>>, tensor<6x4x!quant.uniform<i8:f32, 0.25:-3>>, tensor<6xi32>) -> tensor<1x6x!quant.uniform<i8:f32, 1.7:7>>
  func.return %z : tensor<1x6x!quant.uniform<i8:f32, 1.7:7>>
}

// -----

// CHECK: 'tfl.fully_connected': FULLY_CONNECTED must have operands of its result's type
func.func @of_16_bits(%x: tensor<1x4x!quant.uniform<i16:f32, 0.5>>, %w: tensor<6x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<1x6x!quant.uniform<i16:f32, 1.7>> {
  %z = tfl.fully_connected %x, %w {keep_num_dims = true} : (tensor<1x4x!quant.uniform<i16:f32, 0.5>>, tensor<6x4x!quant.uniform<i8:f32, 0.25:-3>>) -> tensor<1x6x!quant.uniform<i16:f32, 1.7>>
  func.return %z : tensor<1x6x!quant.uniform<i16:f32, 1.7>>
}
