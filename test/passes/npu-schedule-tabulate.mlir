// What several kernels make of one 8-bit value is one table of it.
// RUN: npu-opt %s -p npu-schedule-tabulate | filecheck %s

// x times a table of x, through a reshape: the table of x * 2, as the inner one gives 2 everywhere.
// CHECK-LABEL: func.func @product
// CHECK: %[[X:.*]] = npu_schedule.pool max %x
// CHECK-NEXT: %[[V:.*]] = npu_schedule.reshape %[[X]]
// CHECK-NEXT: %[[T:.*]] = npu_schedule.constant dense<{{"0x80808080.*FCFE00020406.*7F7F7F7F"}}> : tensor<256xi8>
// CHECK-NEXT: npu_schedule.pool average %[[V]] {{.*}} activation <table, -128, 127> table %[[T]]
// CHECK-NEXT: func.return
func.func @product(%x: tensor<1x4x4x8xi8>) -> tensor<1x1x16x8xi8> {
  %two = npu_schedule.constant dense<2> : tensor<256xi8>
  %0 = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.pool average %0 window <1x1> zero_points <0, 0> scale <1, shift 0, natural> activation <table, -128, 127> table %two : (tensor<1x4x4x8xi8>, tensor<256xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.reshape %0 : tensor<1x4x4x8xi8> -> tensor<1x1x16x8xi8>
  %3 = npu_schedule.reshape %1 : tensor<1x4x4x8xi8> -> tensor<1x1x16x8xi8>
  %4 = npu_schedule.elementwise mul %2, %3 zero_points <0, 0, 0> scale <1073741824, shift 30, double_round> activation <-128, 127> : (tensor<1x1x16x8xi8>, tensor<1x1x16x8xi8>) -> tensor<1x1x16x8xi8>
  func.return %4 : tensor<1x1x16x8xi8>
}

// One elementwise kernel, whose other operand is 50 everywhere: a table where the kernel before can look it up itself.
// CHECK-LABEL: func.func @alone
// CHECK: npu_schedule.pool average %{{.*}} activation <table, -128, 127> table
// CHECK: %[[Y:.*]] = npu_schedule.elementwise min %y
// CHECK-NEXT: func.return %{{.*}}, %[[Y]]
func.func @alone(%x: tensor<1x4x4x8xi8>, %y: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) {
  %fifty = npu_schedule.constant dense<50> : tensor<1x1x1x8xi8>
  %0 = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.elementwise min %0, %fifty zero_points <0, 0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>, tensor<1x1x1x8xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.elementwise min %y, %fifty zero_points <0, 0, 0> activation <-128, 127> : (tensor<1x4x4x8xi8>, tensor<1x1x1x8xi8>) -> tensor<1x4x4x8xi8>
  func.return %1, %2 : tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>
}

// Another reader of what lies between, or operands of two sources: left alone.
// CHECK-LABEL: func.func @left
// CHECK: %[[A:.*]] = npu_schedule.elementwise abs %x
// CHECK-NEXT: npu_schedule.elementwise add %x, %[[A]]
// CHECK-NEXT: npu_schedule.elementwise sub %[[A]], %y
func.func @left(%x: tensor<1x4x4x8xi8>, %y: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) {
  %0 = npu_schedule.elementwise abs %x zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %1 = npu_schedule.elementwise add %x, %0 zero_points <0, 0, 0> operand_scales <ifm 1073741824, shift 11> scale <1073741824, shift 49, double_round> activation <-128, 127> : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %2 = npu_schedule.elementwise sub %0, %y zero_points <0, 0, 0> operand_scales <ifm 1073741824, shift 11> scale <1073741824, shift 49, double_round> activation <-128, 127> : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  func.return %1, %2 : tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>
}
