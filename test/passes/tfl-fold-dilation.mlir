// A convolution of every second row and column becomes one with dilation 2.
// RUN: npu-opt %s -p tfl-fold-dilation --split-input-file | filecheck %s

// The last row of the padding is cropped again: it is not computed.
// CHECK-LABEL: func.func @two_axes
// CHECK: %[[PAD:.*]] = tfl.pseudo_const dense<{{\[\[}}0, 0], [2, 2], [2, 2], [0, 0]]>
// CHECK: %[[X:.*]] = tfl.pad %x, %[[PAD]] : {{.*}} -> tensor<1x13x14x8x
// CHECK: %y = tfl.conv_2d %[[X]], {{.*}} {{{.*}}dilation_h_factor = 2 : i32, dilation_w_factor = 2 : i32} : {{.*}} -> tensor<1x9x10x4x
// CHECK-NOT: batch
func.func @two_axes(%x: tensor<1x9x10x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x9x10x4x!quant.uniform<i8:f32, 0.5:3>> {
  %block = tfl.pseudo_const dense<[2, 2]> : tensor<2xi32>
  %around = tfl.pseudo_const dense<[[2, 3], [2, 2]]> : tensor<2x2xi32>
  %crops = tfl.pseudo_const dense<[[0, 1], [0, 0]]> : tensor<2x2xi32>
  %w = tfl.pseudo_qconst dense<3> : tensor<4x3x3x8xi8> -> tensor<4x3x3x8x!quant.uniform<i8:f32, 0.01>>
  %b = tfl.pseudo_qconst dense<0> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.005>>
  %0 = tfl.space_to_batch_nd %x, %block, %around : (tensor<1x9x10x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<4x7x7x8x!quant.uniform<i8:f32, 0.5:3>>
  %1 = tfl.conv_2d %0, %w, %b {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<4x7x7x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x3x3x8x!quant.uniform<i8:f32, 0.01>>, tensor<4x!quant.uniform<i32:f32, 0.005>>) -> tensor<4x5x5x4x!quant.uniform<i8:f32, 0.5:3>>
  %y = tfl.batch_to_space_nd %1, %block, %crops : (tensor<4x5x5x4x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<1x9x10x4x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x9x10x4x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// A convolution of one axis has a dimension of 1 between.
// CHECK-LABEL: func.func @one_axis
// CHECK: tfl.reshape %x, {{.*}} -> tensor<1x1x20x8x
// CHECK: tfl.pad {{.*}} -> tensor<1x1x28x8x
// CHECK: tfl.conv_2d {{.*}} {{{.*}}dilation_w_factor = 4 : i32} : {{.*}} -> tensor<1x1x20x4x
// CHECK: %y = tfl.reshape {{.*}} -> tensor<1x20x4x
func.func @one_axis(%x: tensor<1x20x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x20x4x!quant.uniform<i8:f32, 0.5:3>> {
  %block = tfl.pseudo_const dense<4> : tensor<1xi32>
  %around = tfl.pseudo_const dense<[[8, 0]]> : tensor<1x2xi32>
  %crops = tfl.pseudo_const dense<0> : tensor<1x2xi32>
  %w = tfl.pseudo_qconst dense<3> : tensor<4x1x3x8xi8> -> tensor<4x1x3x8x!quant.uniform<i8:f32, 0.01>>
  %b = tfl.pseudo_qconst dense<0> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.005>>
  %0 = tfl.space_to_batch_nd %x, %block, %around : (tensor<1x20x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<1xi32>, tensor<1x2xi32>) -> tensor<4x7x8x!quant.uniform<i8:f32, 0.5:3>>
  %1 = tfl.reshape %0 : (tensor<4x7x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x1x7x8x!quant.uniform<i8:f32, 0.5:3>>
  %2 = tfl.conv_2d %1, %w, %b {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<4x1x7x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x1x3x8x!quant.uniform<i8:f32, 0.01>>, tensor<4x!quant.uniform<i32:f32, 0.005>>) -> tensor<4x1x5x4x!quant.uniform<i8:f32, 0.5:3>>
  %3 = tfl.reshape %2 : (tensor<4x1x5x4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x5x4x!quant.uniform<i8:f32, 0.5:3>>
  %y = tfl.batch_to_space_nd %3, %block, %crops : (tensor<4x5x4x!quant.uniform<i8:f32, 0.5:3>>, tensor<1xi32>, tensor<1x2xi32>) -> tensor<1x20x4x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x20x4x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Somebody wants the convolution on the CPU.
// CHECK-LABEL: func.func @pinned
// CHECK: tfl.space_to_batch_nd
func.func @pinned(%x: tensor<1x8x8x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>> {
  %block = tfl.pseudo_const dense<[2, 2]> : tensor<2xi32>
  %none = tfl.pseudo_const dense<0> : tensor<2x2xi32>
  %w = tfl.pseudo_qconst dense<3> : tensor<4x3x3x8xi8> -> tensor<4x3x3x8x!quant.uniform<i8:f32, 0.01>>
  %b = tfl.pseudo_qconst dense<0> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.005>>
  %0 = tfl.space_to_batch_nd %x, %block, %none : (tensor<1x8x8x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<4x4x4x8x!quant.uniform<i8:f32, 0.5:3>>
  %1 = tfl.conv_2d %0, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, npu.cpu_reason = "wanted"} : (tensor<4x4x4x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x3x3x8x!quant.uniform<i8:f32, 0.01>>, tensor<4x!quant.uniform<i32:f32, 0.005>>) -> tensor<4x4x4x4x!quant.uniform<i8:f32, 0.5:3>>
  %y = tfl.batch_to_space_nd %1, %block, %none : (tensor<4x4x4x4x!quant.uniform<i8:f32, 0.5:3>>, tensor<2xi32>, tensor<2x2xi32>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5:3>>
}
