// Bilinear resizes: averages of repeated elements, kernels of neighbours, or products.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// Elements repeated twice, and twice more under a window of 4x4.
// CHECK-LABEL: func.func @four_times
// CHECK: %[[UP:.*]] = npu_schedule.pool average %x window <1x1, upscale nearest> {{.*}} -> tensor<1x8x12x8xi8>
// CHECK: npu_schedule.pool average %[[UP]] window <4x4, pad 0 0 3 3, upscale nearest> {{.*}} -> tensor<1x16x24x8xi8>
func.func @four_times(%x: tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[16, 24]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size : (tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Centres of pixels: a border, and four kernels of 2x2 neighbours that write in turn.
// CHECK-LABEL: func.func @half_pixel
// CHECK: %[[WIDE:.*]] = npu_schedule.concat {{.*}} -> tensor<1x6x8x8xi8>
// CHECK: %[[PART:.*]] = npu_schedule.slice %[[WIDE]] {offsets = #npu.ints<0, 1, 0>,
// CHECK: npu_schedule.scales {bias = dense<0> {{.*}}multiplier = dense<1073741825> {{.*}}shift = dense<34>
// CHECK: npu_schedule.depthwise_conv2d %[[PART]], {{.*}} window <2x2> {{.*}} -> tensor<1x4x6x8xi8>
func.func @half_pixel(%x: tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x12x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[8, 12]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size {half_pixel_centers = true} : (tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x8x12x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x12x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Four and four kernels are fewer than sixteen: sums of rows in 16 bits.
// CHECK-LABEL: func.func @one_axis_first
// CHECK: npu_schedule.depthwise_conv2d {{.*}} window <2x1> {{.*}} -> tensor<1x4x8x8xi16>
// CHECK: npu_schedule.depthwise_conv2d {{.*}} window <1x2> {{.*}} -> tensor<1x16x6x8xi8>
func.func @one_axis_first(%x: tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[16, 24]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size {half_pixel_centers = true} : (tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x16x24x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Corners aligned: the last row and column, which only the first phase has, are kernels of their own.
// CHECK-LABEL: func.func @aligned
// CHECK: %[[MAIN:.*]] = npu_schedule.reshape {{.*}} -> tensor<1x24x5x8xi16>
// CHECK: %[[LAST:.*]] = npu_schedule.depthwise_conv2d {{.*}} -> tensor<1x1x5x8xi16>
// CHECK: npu_schedule.concat %[[MAIN]], %[[LAST]] {axis = #npu.ints<1>}
// CHECK: %[[SIDE:.*]] = npu_schedule.depthwise_conv2d {{.*}} -> tensor<1x25x1x8xi8>
// CHECK: npu_schedule.concat {{.*}}, %[[SIDE]] {axis = #npu.ints<2>} {{.*}} -> tensor<1x25x25x8xi8>
func.func @aligned(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x25x25x8x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[25, 25]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size {align_corners = true} : (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x25x25x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x25x25x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// Any other size: shares in 1/1024 of rows, in 1/512 of columns, and a division by 2^20 that rounds ties away.
// CHECK-LABEL: func.func @any
// CHECK: %[[SHARES:.*]] = npu_schedule.constant dense<{{.*1024.*205.*410.*615.*}}> : tensor<1x5x1x1xi16>
// CHECK: npu_schedule.elementwise mul {{.*}}, %[[SHARES]] {{.*}} -> tensor<1x5x4x64xi32>
// CHECK: npu_schedule.elementwise mul {{.*}} scale <1, shift 51, double_round> {{.*}} -> tensor<1x5x5x64xi8>
func.func @any(%x: tensor<1x4x4x64x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x5x5x64x!quant.uniform<i8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[5, 5]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size : (tensor<1x4x4x64x!quant.uniform<i8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x5x5x64x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x5x5x64x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: 'tfl.resize_bilinear': RESIZE_BILINEAR of uint8 and int16 must have positions in 1/32 (powers of two)
func.func @float(%x: tensor<1x4x4x64x!quant.uniform<u8:f32, 0.5>>) -> tensor<1x5x5x64x!quant.uniform<u8:f32, 0.5>> {
  %size = tfl.pseudo_const dense<[5, 5]> : tensor<2xi32>
  %y = tfl.resize_bilinear %x, %size : (tensor<1x4x4x64x!quant.uniform<u8:f32, 0.5>>, tensor<2xi32>) -> tensor<1x5x5x64x!quant.uniform<u8:f32, 0.5>>
  func.return %y : tensor<1x5x5x64x!quant.uniform<u8:f32, 0.5>>
}
