// Nearest neighbours are doubled by pools, or copied in turn.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// Twice the size, corners aligned: every element is repeated 2x2, and the outer half steps are cut off.
// CHECK-LABEL: func.func @resize
// CHECK: %[[UP:.*]] = npu_schedule.pool average %x window <1x1, upscale nearest> {{.*}} -> tensor<1x4x6x8xi8>
// CHECK: npu_schedule.slice %[[UP]] {offsets = #npu.ints<1, 1, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x4x6x8xi8> -> tensor<1x3x5x8xi8>
func.func @resize(%x: tensor<1x2x3x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[3, 5]> : tensor<2xi32>
  %y = tfl.resize_nearest_neighbor %x, %size {align_corners = true} : (tensor<1x2x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Columns twice, in turn side by side in the depth; then rows three times, side by side in the width.
// CHECK-LABEL: func.func @two_factors
// CHECK: %[[TWO:.*]] = npu_schedule.concat {{.*}} {axis = #npu.ints<3>} : (tensor<1x2x4x8xi8>, tensor<1x2x4x8xi8>) -> tensor<1x2x4x16xi8>
// CHECK: npu_schedule.reshape %[[TWO]] : tensor<1x2x4x16xi8> -> tensor<1x2x8x8xi8>
// CHECK: npu_schedule.concat {{.*}} {axis = #npu.ints<2>} : {{.*}} -> tensor<1x2x24x8xi8>
func.func @two_factors(%x: tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x6x8x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[6, 8]> : tensor<2xi32>
  %y = tfl.resize_nearest_neighbor %x, %size : (tensor<1x2x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x6x8x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x6x8x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Every third column, of both images.
// CHECK-LABEL: func.func @shrinks
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 3, 1>} : tensor<1x8x9x8xi8> -> tensor<1x8x3x8xi8>
func.func @shrinks(%x: tensor<2x4x9x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x3x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[4, 3]> : tensor<2xi32>
  %y = tfl.resize_nearest_neighbor %x, %size : (tensor<2x4x9x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<2x4x3x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x4x3x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: 'tfl.resize_nearest_neighbor': corners must not be aligned together with half-pixel centres
func.func @both(%x: tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[4, 4]> : tensor<2xi32>
  %y = tfl.resize_nearest_neighbor %x, %size {align_corners = true, half_pixel_centers = true} : (tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
}
