// A depthwise convolution with constant weights is one kernel; with several results a channel it is dense ones.
// RUN: npu-opt %s -p convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule --split-input-file | filecheck %s
// RUN: npu-opt %s -p tfl-partition --split-input-file | filecheck %s --check-prefix=PARTITION

// CHECK-LABEL: func.func @one_result
// CHECK: npu_schedule.depthwise_conv2d %x, {{.*}} window <3x3, pad 1 1 1 1>
// CHECK-NEXT: func.return
func.func @one_result(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x3x3x8xi8> -> tensor<1x3x3x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<8xi32> -> tensor<8x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.depthwise_conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, depth_multiplier = 1 : i32} : (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x3x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x8x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x8x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Eight channels to a kernel.
// CHECK-LABEL: func.func @two_results
// CHECK: %[[P:.*]] = npu_schedule.conv2d {{.*}}tensor<1x4x4x8xi8>, tensor<16x1x1x8xi8>, {{.*}} -> tensor<1x4x4x16xi8>
// CHECK: %[[Q:.*]] = npu_schedule.conv2d {{.*}} -> tensor<1x4x4x16xi8>
// CHECK: npu_schedule.concat %[[P]], %[[Q]] {axis = #npu.ints<3>}
func.func @two_results(%x: tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x1x1x32xi8> -> tensor<1x1x1x32x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<32xi32> -> tensor<32x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.depthwise_conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, depth_multiplier = 2 : i32} : (tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>, tensor<1x1x1x32x!quant.uniform<i8:f32, 0.5>>, tensor<32x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x32x!quant.uniform<i8:f32, 1.0>>
}

// -----

// A stride of 5: all rows are computed, and every fifth is read.
// CHECK-LABEL: func.func @stride
// CHECK: %[[D:.*]] = npu_schedule.depthwise_conv2d %x, {{.*}} window <3x1> {{.*}} -> tensor<1x11x4x8xi8>
// CHECK: npu_schedule.slice %[[D]] {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<5, 1, 1>} : tensor<1x11x4x8xi8> -> tensor<1x3x4x8xi8>
func.func @stride(%x: tensor<1x13x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x4x8x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x3x1x8xi8> -> tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<8xi32> -> tensor<8x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.depthwise_conv_2d %x, %w, %b {padding = "VALID", stride_h = 5 : i32, stride_w = 1 : i32, depth_multiplier = 1 : i32} : (tensor<1x13x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x3x4x8x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x3x4x8x!quant.uniform<i8:f32, 1.0>>
}

// -----

// PARTITION-LABEL: func.func @uneven
// PARTITION: tfl.depthwise_conv_2d {{.*}}npu.cpu_reason = "each channel must have equally many results: tensor 'w' (1x1x1x6)"
func.func @uneven(%x: tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x6x!quant.uniform<i8:f32, 1.0>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x1x1x6xi8> -> tensor<1x1x1x6x!quant.uniform<i8:f32, 0.5>> loc("w")
  %b = tfl.pseudo_qconst dense<7> : tensor<6xi32> -> tensor<6x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.depthwise_conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, depth_multiplier = 1 : i32} : (tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, tensor<1x1x1x6x!quant.uniform<i8:f32, 0.5>>, tensor<6x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x6x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x6x!quant.uniform<i8:f32, 1.0>>
}
func.func @lowered() attributes {npu.region} {
  func.return
}
