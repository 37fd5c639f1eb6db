// What the partition should not have let into an NPU region is one line; elsewhere it stays as it is.
// RUN: npu-opt %s -p convert-tfl-to-tosa --split-input-file --verify-diagnostics | filecheck %s
// RUN: sed 's/attributes {npu.region}//' %s > %t.mlir
// RUN: npu-opt %t.mlir -p convert-tfl-to-tosa --split-input-file | filecheck %s --check-prefix=CPU

// CHECK: convert-tfl-to-tosa-invalid.mlir:9:3: convert-tfl-to-tosa: 'tfl.conv_2d': it is in an NPU region, but cannot be converted: weights must be constant and quantised: tensor '' (1x1x1x2)
// CPU: tfl.conv_2d
func.func @npu_0(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>, %w: tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x1x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %y = tfl.conv_2d %x, %w {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>, tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x1x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x1x!quant.uniform<i8:f32, 1.0>>
}

// -----

// CHECK: convert-tfl-to-tosa-invalid.mlir:18:3: convert-tfl-to-tosa: 'tfl.reshape': it is in an NPU region, but cannot be converted: RESHAPE must keep all 32 elements: tensor '' (3x10)
// CPU: tfl.reshape
func.func @npu_0(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<3x10x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.reshape %x : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<3x10x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<3x10x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: 'tfl.max_pool_2d': it is in an NPU region, but cannot be converted: strides and windows must be positive: tensor
// CPU: tfl.max_pool_2d
func.func @npu_0(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.max_pool_2d %x {padding = "SAME", filter_height = 1 : i32, filter_width = 1 : i32, stride_h = 0 : i32, stride_w = 1 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: 'tfl.max_pool_2d': it is in an NPU region, but cannot be converted: the shape must be the one that the operator makes, 1x4x4x2: tensor '' (1x3x4x2)
// CPU: tfl.max_pool_2d
func.func @npu_0(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.max_pool_2d %x {padding = "SAME", filter_height = 1 : i32, filter_width = 1 : i32, stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

// CHECK: 'tfl.depthwise_conv_2d': it is in an NPU region, but cannot be converted: depthwise weights must begin with a dimension of 1: tensor '' (2x1x1x32)
// CPU: tfl.depthwise_conv_2d
func.func @npu_0(%x: tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<2> : tensor<2x1x1x32xi8> -> tensor<2x1x1x32x!quant.uniform<i8:f32, 0.5>>
  %y = tfl.depthwise_conv_2d %x, %w {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, depth_multiplier = 2 : i32} : (tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x32x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>>
}

// -----

// CHECK: 'tfl.relu': it is in an NPU region, but cannot be converted: dimensions must be 1 to 65535: tensor '' (0x4)
func.func @npu_0(%x: tensor<0x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<0x4x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %y = tfl.relu %x : (tensor<0x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<0x4x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<0x4x!quant.uniform<i8:f32, 1.0>>
}
