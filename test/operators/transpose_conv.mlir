// A transposed convolution is an ordinary one for each phase of its stride, or one over a map with zeros in between.
// RUN: npu-opt %s -p convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule --split-input-file | filecheck %s
// RUN: npu-opt %s -p tfl-partition --split-input-file | filecheck %s --check-prefix=PARTITION

// Rows of each phase, with the columns of all phases as channels; views interleave them.
// CHECK-LABEL: func.func @phases
// CHECK: npu_schedule.conv2d %x, {{.*}} window <1x1> {{.*}} -> tensor<1x4x4x6xi8>
// CHECK: %[[A:.*]] = npu_schedule.reshape {{.*}} -> tensor<1x4x1x24xi8>
// CHECK: npu_schedule.conv2d %x, {{.*}} window <1x1>
// CHECK: npu_schedule.conv2d %x, {{.*}} window <1x1>
// CHECK: npu_schedule.concat %[[A]], {{.*}} {axis = #npu.ints<2>} : {{.*}} -> tensor<1x4x3x24xi8>
// CHECK: npu_schedule.reshape {{.*}} -> tensor<1x12x12x2xi8>
func.func @phases(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x12x12x2x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x3x3x8xi8> -> tensor<2x3x3x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %shape = tfl.pseudo_const dense<[1, 12, 12, 2]> : tensor<4xi32>
  %y = tfl.transpose_conv %shape, %w, %x, %b {padding = "SAME", stride_h = 3 : i32, stride_w = 3 : i32} : (tensor<4xi32>, tensor<2x3x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x12x12x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x12x12x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// CHECK-LABEL: func.func @no_stride
// CHECK: npu_schedule.conv2d %x, {{.*}} window <3x3, pad 1 1 1 1>
// CHECK-NEXT: func.return
func.func @no_stride(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>> attributes {npu.region} {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x3x3x8xi8> -> tensor<2x3x3x8x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %shape = tfl.pseudo_const dense<[1, 4, 4, 2]> : tensor<4xi32>
  %y = tfl.transpose_conv %shape, %w, %x, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<4xi32>, tensor<2x3x3x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// PARTITION-LABEL: func.func @tall
// PARTITION: tfl.transpose_conv {{.*}}npu.cpu_reason = "the kernel must be at most 64 high or wide, 4096 in all, with 127 rows or columns before what it meets first: tensor 'w' (2x90x90x8)"
func.func @tall(%x: tensor<1x99x99x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x99x99x2x!quant.uniform<i8:f32, 1.0>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x90x90x8xi8> -> tensor<2x90x90x8x!quant.uniform<i8:f32, 0.5>> loc("w")
  %b = tfl.pseudo_qconst dense<7> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32, 0.25>>
  %shape = tfl.pseudo_const dense<[1, 99, 99, 2]> : tensor<4xi32>
  %y = tfl.transpose_conv %shape, %w, %x, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (tensor<4xi32>, tensor<2x90x90x8x!quant.uniform<i8:f32, 0.5>>, tensor<1x99x99x8x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x99x99x2x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x99x99x2x!quant.uniform<i8:f32, 1.0>>
}
func.func @lowered() attributes {npu.region} {
  func.return
}
