// RUN: npu-opt %s -p 'npu-schedule-order-kernels{strategy="size"}' --split-input-file | filecheck %s
// RUN: npu-opt %s -p 'npu-schedule-order-kernels{strategy="size"},convert-npu-schedule-to-npu-cmd,npu-cmd-allocate' --split-input-file | filecheck %s --check-prefix=CMD
// RUN: npu-opt %s -p 'convert-npu-schedule-to-npu-cmd,npu-cmd-allocate' --split-input-file | filecheck %s --check-prefix=AS

// Two branches, each with a large feature map in the middle. In the given order both of these are alive at one time;
// each branch for itself needs less. A slice stands before the kernel that reads it, one that nobody
// reads at the end. A region that has been ordered says so.
//
// CHECK-LABEL: @branches
// CHECK-SAME: npu.kernels_ordered
// CHECK-NEXT: %low = npu_schedule.slice %x
// CHECK-NEXT: %a = npu_schedule.pool max %low
// CHECK-NEXT: %c = npu_schedule.pool max %a
// CHECK-NEXT: %high = npu_schedule.slice %x
// CHECK-NEXT: %b = npu_schedule.pool max %high
// CHECK-NEXT: %d = npu_schedule.pool max %b
// CHECK-NEXT: %y = npu_schedule.elementwise max %c, %d
// CHECK-NEXT: %unused = npu_schedule.slice %b
// CMD: npu.arena_size = 13312
// AS: npu.arena_size = 16384
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @branches(%x: tensor<1x16x16x32xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %low = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x16x16x32xi8> -> tensor<1x16x16x16xi8>
    %high = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 16>, strides = #npu.ints<1, 1, 1>} : tensor<1x16x16x32xi8> -> tensor<1x16x16x16xi8>
    %a = npu_schedule.pool max %low window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %b = npu_schedule.pool max %high window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %unused = npu_schedule.slice %b {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x16x16x16xi8> -> tensor<1x16x16x16xi8>
    %c = npu_schedule.pool max %a window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %d = npu_schedule.pool max %b window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %y = npu_schedule.elementwise max %c, %d zero_points <0, 0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %y : tensor<1x8x8x16xi8>
  }
}

// -----

// The same, pinned.
//
// CHECK-LABEL: @pinned
// CHECK-NEXT: %a = npu_schedule.pool
// CHECK-NEXT: %b = npu_schedule.pool
// CHECK-NEXT: %c = npu_schedule.pool
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @pinned(%x: tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region, npu.kernels_ordered} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %b = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %c = npu_schedule.pool max %a window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %d = npu_schedule.pool max %b window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %y = npu_schedule.elementwise max %c, %d zero_points <0, 0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %y : tensor<1x8x8x16xi8>
  }
}

// -----

// And with a cascade that somebody has planned: what is decided already may depend on the order.
//
// CHECK-LABEL: @decided
// CHECK-NEXT: %a = npu_schedule.pool
// CHECK-NEXT: %b = npu_schedule.pool
// CHECK-NEXT: %c = npu_schedule.pool
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @decided(%x: tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %b = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %c = npu_schedule.pool max %a window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %d = npu_schedule.pool max %b window <2x2, stride 2x2> zero_points <0, 0> activation <-128, 127> cascade <0>
         : (tensor<1x16x16x16xi8>) -> tensor<1x8x8x16xi8>
    %y = npu_schedule.elementwise max %c, %d zero_points <0, 0, 0> activation <-128, 127> cascade <0>
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %y : tensor<1x8x8x16xi8>
  }
}
