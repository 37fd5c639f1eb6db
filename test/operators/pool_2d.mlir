// A pool is one kernel, or a few.
// RUN: npu-opt %s -p convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule --split-input-file | filecheck %s
// RUN: npu-opt %s -p tfl-partition --split-input-file | filecheck %s --check-prefix=PARTITION

// Windows that end where the image does can go on with the next one.
// CHECK-LABEL: func.func @tiles
// CHECK: npu_schedule.pool max %{{.*}} window <2x2, stride 2x2> {{.*}} (tensor<1x8x4x8xi8>) -> tensor<1x4x2x8xi8>
func.func @tiles(%x: tensor<2x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x2x2x8x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.max_pool_2d %x {padding = "VALID", stride_h = 2 : i32, stride_w = 2 : i32, filter_height = 2 : i32, filter_width = 2 : i32} : (tensor<2x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x2x2x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x2x2x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// One window over all elements can have any number of rows.
// CHECK-LABEL: func.func @all
// CHECK: npu_schedule.pool average %{{.*}} window <200x3> {{.*}} (tensor<1x200x3x8xi8>) -> tensor<1x1x1x8xi8>
func.func @all(%x: tensor<1x300x2x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x8x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.average_pool_2d %x {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 300 : i32, filter_width = 2 : i32} : (tensor<1x300x2x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x1x1x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// The machine counts what is not padding in windows up to 8x8. Beyond, each that is clipped is a kernel.
// CHECK-LABEL: func.func @clipped
// CHECK: npu_schedule.pool average %{{.*}} window <1x6> {{.*}} -> tensor<1x1x1x8xi8>
// CHECK: npu_schedule.pool average %{{.*}} window <1x10> {{.*}} -> tensor<1x1x1x8xi8>
// CHECK: npu_schedule.pool average %{{.*}} window <1x6> {{.*}} -> tensor<1x1x1x8xi8>
// CHECK: npu_schedule.concat
func.func @clipped(%x: tensor<1x20x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>> attributes {npu.region} {
  %y = tfl.average_pool_2d %x {padding = "SAME", stride_h = 9 : i32, stride_w = 1 : i32, filter_height = 10 : i32, filter_width = 1 : i32} : (tensor<1x20x1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x3x1x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

// PARTITION-LABEL: func.func @large
// PARTITION: tfl.max_pool_2d {{.*}}npu.cpu_reason = "the window must be at most 256 high or wide, or all there is of a channel, and 65536 in all, with at most 127 rows or columns of padding, not 300x299: tensor '' (1x300x300x8)"
func.func @large(%x: tensor<1x300x300x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x2x8x!quant.uniform<i8:f32, 0.5>> {
  %y = tfl.max_pool_2d %x {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 300 : i32, filter_width = 299 : i32} : (tensor<1x300x300x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x2x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x1x2x8x!quant.uniform<i8:f32, 0.5>>
}
func.func @lowered() attributes {npu.region} {
  func.return
}
