// What follows a kernel value by value in 8 bits is one table of that kernel.
// RUN: npu-opt %s -p npu-schedule-collapse-luts | filecheck %s

// A table that maps v to v / 2 (here only the ends matter) behind one that gives 100 everywhere: 50 everywhere.
// CHECK-LABEL: func.func @tables
// CHECK: %[[T:.*]] = npu_schedule.constant dense<50> : tensor<256xi8>
// CHECK-NEXT: npu_schedule.pool max %x {{.*}} activation <table, -128, 127> table %[[T]]
// CHECK-NEXT: func.return
func.func @tables(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {
  %hundred = npu_schedule.constant dense<100> : tensor<256xi8>
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <table, -128, 127> table %hundred : (tensor<1x4x4x8xi8>, tensor<256xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <0, 0> scale <1073741824, shift 31, double_round> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  func.return %1 : tensor<1x4x4x8xi8>
}

// A rescale behind a kernel that looks nothing up becomes its table.
// CHECK-LABEL: func.func @rescale
// CHECK-COUNT-1: npu_schedule.pool max %x {{.*}} activation <table, 0, 127> table
// CHECK-NEXT: func.return
func.func @rescale(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <-3, 5> scale <1518500250, shift 31, double_round> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  func.return %1 : tensor<1x4x4x8xi8>
}

// Another reader, another type, or a window: left alone.
// CHECK-LABEL: func.func @left
// CHECK-COUNT-4: npu_schedule.pool
func.func @left(%x: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x8xi8>, tensor<1x4x4x8xui8>, tensor<1x3x3x8xi8>) {
  %0 = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <-3, 5> scale <1518500250, shift 31, double_round> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.pool average %1 window <1x1> zero_points <0, 128> scale <1, shift 0, natural> activation <0, 255> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xui8>
  %3 = npu_schedule.pool average %0 window <2x2> zero_points <0, 0> scale <1073741824, shift 32, natural> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x3x3x8xi8>
  func.return %0, %2, %3 : tensor<1x4x4x8xi8>, tensor<1x4x4x8xui8>, tensor<1x3x3x8xi8>
}
