// What the partition would not have let into an NPU region is refused in the partition's words.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// CHECK: :7:3: convert-tfl-to-npu-schedule: 'tfl.resize_nearest_neighbor': corners must not be aligned together with half-pixel centres
func.func @both_centres(%x: tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[4, 8]> : tensor<2xi32>
  %y = tfl.resize_nearest_neighbor %x, %size {align_corners = true, half_pixel_centers = true} : (tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x4x8x8x!quant.uniform<i8:f32, 0.5>>
}
