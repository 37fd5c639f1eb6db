// Clamps and tables stand by themselves until this pass: pools of one element that scale by 1.
// RUN: npu-opt %s -p npu-schedule-fuse-activations | filecheck %s

// A clamp after a clamp is one, and the table behind them goes along.
// CHECK-LABEL: func.func @chain
// CHECK: npu_schedule.pool max %x {{.*}} activation <table, 0, 100> table %table
// CHECK-NEXT: func.return
func.func @chain(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {
  %table = npu_schedule.constant dense<3> : tensor<256xi8>
  %0 = npu_schedule.pool max %x window <2x2, pad 0 0 1 1> zero_points <0, 0> activation <-128, 100> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <0, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.pool average %1 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <table, -128, 127> table %table : (tensor<1x4x4x8xi8>, tensor<256xi8>) -> tensor<1x4x4x8xi8>
  func.return %2 : tensor<1x4x4x8xi8>
}

// A result that others read stays as it is, and so does what comes after a table.
// CHECK-LABEL: func.func @left
// CHECK-COUNT-3: npu_schedule.pool
func.func @left(%x: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) {
  %table = npu_schedule.constant dense<3> : tensor<256xi8>
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <table, -128, 127> table %table : (tensor<1x4x4x8xi8>, tensor<256xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.pool average %1 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <0, 5> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  func.return %0, %2 : tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>
}

// A reshape between the two stays behind the kernel.
// CHECK-LABEL: func.func @through_a_reshape
// CHECK: %[[K:.*]] = npu_schedule.pool max %x {{.*}} activation <0, 127>
// CHECK-NEXT: npu_schedule.reshape %[[K]] : tensor<1x4x4x8xi8> -> tensor<1x1x16x8xi8>
// CHECK-NEXT: func.return
func.func @through_a_reshape(%x: tensor<1x4x4x8xi8>) -> tensor<1x1x16x8xi8> {
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.reshape %0 : tensor<1x4x4x8xi8> -> tensor<1x1x16x8xi8>
  %2 = npu_schedule.pool average %1 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <0, 127> : (tensor<1x1x16x8xi8>) -> tensor<1x1x16x8xi8>
  func.return %2 : tensor<1x1x16x8xi8>
}

// What several kernels put together, each of them clamps; not if something else is among it.
// CHECK-LABEL: func.func @put_together
// CHECK: npu_schedule.pool max %x {{.*}} activation <0, 127>
// CHECK: npu_schedule.pool max %y {{.*}} activation <0, 100>
// CHECK: %[[C:.*]] = npu_schedule.concat
// CHECK: %[[D:.*]] = npu_schedule.concat
// CHECK-NEXT: %[[E:.*]] = npu_schedule.pool average %[[D]]
// CHECK-NEXT: func.return %[[C]], %[[E]]
func.func @put_together(%x: tensor<1x4x4x8xi8>, %y: tensor<1x4x4x8xi8>) -> (tensor<1x8x4x8xi8>, tensor<1x8x4x8xi8>) {
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool max %y window <1x1> zero_points <0, 0> activation <-128, 100> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.copy %1 : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %3 = npu_schedule.concat %0, %2 {axis = #npu.ints<1>} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x8x4x8xi8>
  %4 = npu_schedule.pool average %3 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <0, 127> : (tensor<1x8x4x8xi8>) -> tensor<1x8x4x8xi8>
  %5 = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %6 = npu_schedule.pool max %y window <1x1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %7 = npu_schedule.concat %5, %6 {axis = #npu.ints<1>} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x8x4x8xi8>
  %8 = npu_schedule.pool average %7 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <0, 127> : (tensor<1x8x4x8xi8>) -> tensor<1x8x4x8xi8>
  func.return %4, %8 : tensor<1x8x4x8xi8>, tensor<1x8x4x8xi8>
}
