// A convolution with constant weights is one kernel, or a few.
// RUN: npu-opt %s -p convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule --split-input-file | filecheck %s
// RUN: npu-opt %s -p tfl-partition --split-input-file | filecheck %s --check-prefix=PARTITION

// Images of a batch lie below each other: windows of one element need not know.
// CHECK-LABEL: func.func @rows_of_all_images
// CHECK: %[[V:.*]] = npu_schedule.reshape %x : tensor<3x2x4x8xi8> -> tensor<1x6x4x8xi8>
// CHECK: npu_schedule.conv2d %[[V]], {{.*}} window <1x1> {{.*}} -> tensor<1x6x4x4xi8>
func.func @rows_of_all_images(%x: tensor<3x2x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<3x2x4x4x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<4x1x1x8xi8> -> tensor<4x1x1x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<3x2x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i32:f32, 0.25>>) -> tensor<3x2x4x4x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<3x2x4x4x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Other windows: a kernel for each image, all with the same weights.
// CHECK-LABEL: func.func @image_by_image
// CHECK: %[[S:.*]] = npu_schedule.scales
// CHECK: %[[A:.*]] = npu_schedule.slice %{{.*}} {offsets = #npu.ints<0, 0, 0>
// CHECK: %[[W:.*]] = npu_schedule.constant dense<1> : tensor<4x3x3x8xi8>
// CHECK: %[[P:.*]] = npu_schedule.conv2d %[[A]], %[[W]], %[[S]] window <3x3, pad 1 1 1 1>
// CHECK: %[[B:.*]] = npu_schedule.slice %{{.*}} {offsets = #npu.ints<4, 0, 0>
// CHECK: %[[Q:.*]] = npu_schedule.conv2d %[[B]], %[[W]], %[[S]] window <3x3, pad 1 1 1 1>
// CHECK: npu_schedule.concat %[[P]], %[[Q]] {axis = #npu.ints<1>}
func.func @image_by_image(%x: tensor<2x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x4x4x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<4x3x3x8xi8> -> tensor<4x3x3x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<2x4x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x3x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i32:f32, 0.25>>) -> tensor<2x4x4x4x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<2x4x4x4x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Groups of 4 channels, two to a kernel, which has weights of nothing where a result does not read a channel.
// CHECK-LABEL: func.func @groups
// CHECK: npu_schedule.slice %x {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x4x4x16xi8> -> tensor<1x4x4x8xi8>
// CHECK: npu_schedule.constant dense<{{.*}}1, 1, 1, 1, 0, 0, 0, 0]]], {{.*}}0, 0, 0, 0, 1, 1, 1, 1]]]]> : tensor<8x1x1x8xi8>
// CHECK: %[[P:.*]] = npu_schedule.conv2d {{.*}} -> tensor<1x4x4x8xi8>
// CHECK: npu_schedule.slice %x {offsets = #npu.ints<0, 0, 8>
// CHECK: %[[Q:.*]] = npu_schedule.conv2d {{.*}} -> tensor<1x4x4x8xi8>
// CHECK: npu_schedule.concat %[[P]], %[[Q]] {axis = #npu.ints<3>}
func.func @groups(%x: tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x16x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<16x1x1x4xi8> -> tensor<16x1x1x4x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<16xi32> -> tensor<16x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x4x4x16x!quant.uniform<i8:f32, 0.5>>, tensor<16x1x1x4x!quant.uniform<i8:f32, 0.5>>, tensor<16x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x16x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x16x!quant.uniform<i8:f32, 1.0>>
}

// -----

// A stride of 4: four columns are one of four times the depth, which is a view; every fourth row is copied to channels.
// CHECK-LABEL: func.func @strides
// CHECK: %[[V:.*]] = npu_schedule.reshape %x : tensor<1x8x8x2xi8> -> tensor<1x8x2x8xi8>
// CHECK: npu_schedule.slice %[[V]] {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<4, 1, 1>}
// CHECK: npu_schedule.slice %[[V]] {offsets = #npu.ints<1, 0, 0>, strides = #npu.ints<4, 1, 1>}
// CHECK: %[[D:.*]] = npu_schedule.concat {{.*}} {axis = #npu.ints<3>} : {{.*}} -> tensor<1x2x2x16xi8>
// CHECK: npu_schedule.conv2d %[[D]], {{.*}} window <1x1> {{.*}} -> tensor<1x2x2x4xi8>
func.func @strides(%x: tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x4x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<4x2x4x2xi8> -> tensor<4x2x4x2x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<4xi32> -> tensor<4x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "VALID", stride_h = 4 : i32, stride_w = 4 : i32} : (tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>, tensor<4x2x4x2x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x2x2x4x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x2x2x4x!quant.uniform<i8:f32, 1.0>>
}

// -----

// A kernel of one column is as well one of one row, and can then be longer than 64.
// CHECK-LABEL: func.func @tall
// CHECK: %[[V:.*]] = npu_schedule.reshape %x : tensor<1x90x1x4xi8> -> tensor<1x1x90x4xi8>
// CHECK: npu_schedule.conv2d %[[V]], {{.*}} window <1x80> {{.*}} -> tensor<1x1x11x2xi8>
func.func @tall(%x: tensor<1x90x1x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x11x1x2x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x80x1x4xi8> -> tensor<2x80x1x4x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x90x1x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x80x1x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x11x1x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x11x1x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Rows and columns can also be exchanged.
// CHECK-LABEL: func.func @taller
// CHECK: %[[T:.*]] = npu_schedule.transpose %x : tensor<1x90x3x4xi8> -> tensor<1x3x90x4xi8>
// CHECK: %[[K:.*]] = npu_schedule.conv2d %[[T]], {{.*}} window <2x80> {{.*}} -> tensor<1x2x11x2xi8>
// CHECK: npu_schedule.transpose %[[K]] : tensor<1x2x11x2xi8> -> tensor<1x11x2x2xi8>
func.func @taller(%x: tensor<1x90x3x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x11x2x2x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x80x2x4xi8> -> tensor<2x80x2x4x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x90x3x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x80x2x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x11x2x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x11x2x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Weights of 4 bits are widened.
// CHECK-LABEL: func.func @four_bits
// CHECK: npu_schedule.constant dense<{{.*}}1, -2]]], {{.*}}1, -2]]]]> : tensor<2x1x1x2xi8>
func.func @four_bits(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst #tfl.const_bytes<"0xe1e1"> -> tensor<2x1x1x2x!quant.uniform<i4:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x2x!quant.uniform<i4:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// PARTITION-LABEL: func.func @uneven
// PARTITION: tfl.conv_2d {{.*}}npu.cpu_reason = "groups must have equal numbers of channels and of results: tensor 'w' (3x1x1x3)"
func.func @uneven(%x: tensor<1x4x4x6x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 1.0>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<3x1x1x3xi8> -> tensor<3x1x1x3x!quant.uniform<i8:f32, 0.5>> loc("w")
  %b = tfl.pseudo_qconst dense<7> : tensor<3xi32> -> tensor<3x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<1x4x4x6x!quant.uniform<i8:f32, 0.5>>, tensor<3x1x1x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x3x!quant.uniform<i8:f32, 1.0>>
}
func.func @lowered() attributes {npu.region} {
  func.return
}
