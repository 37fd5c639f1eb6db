// Copies go where a kernel can write, or read, in place.
// RUN: npu-opt %s -p npu-schedule-fold-views | filecheck %s

// Both kernels write straight into the concat, though one of them is read by others too; an argument must be copied.
// CHECK-LABEL: func.func @concat
// CHECK-NEXT: %a = npu_schedule.pool max %x
// CHECK-NEXT: %b = npu_schedule.pool max %a
// CHECK-NEXT: %c = npu_schedule.copy %x
// CHECK-NEXT: npu_schedule.concat %a, %b, %c
func.func @concat(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x24xi8> {
  %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %b = npu_schedule.pool max %a window <1x1> zero_points <0, 0> activation <5, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %ca = npu_schedule.copy %a : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %cb = npu_schedule.copy %b : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %c = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %y = npu_schedule.concat %ca, %cb, %c {axis = #npu.ints<3>} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x24xi8>
  func.return %y : tensor<1x4x4x24xi8>
}

// A value can be placed once: the second of two concats gets the copy.
// CHECK-LABEL: func.func @placed_once
// CHECK: %[[COPY:.*]] = npu_schedule.copy %a
// CHECK-NEXT: npu_schedule.concat %[[COPY]], %b
// CHECK-NEXT: npu_schedule.concat %a, %c
func.func @placed_once(%x: tensor<1x4x4x8xi8>) -> (tensor<1x4x4x16xi8>, tensor<1x4x4x16xi8>) {
  %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8>
  %b = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %c = npu_schedule.copy %x : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %a1 = npu_schedule.copy %a : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %y1 = npu_schedule.concat %a1, %b {axis = #npu.ints<3>} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x16xi8>
  %a2 = npu_schedule.copy %a : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %y2 = npu_schedule.concat %a2, %c {axis = #npu.ints<3>} : (tensor<1x4x4x8xi8>, tensor<1x4x4x8xi8>) -> tensor<1x4x4x16xi8>
  func.return %y1, %y2 : tensor<1x4x4x16xi8>, tensor<1x4x4x16xi8>
}

// A kernel reads every second column where it lies; what the region returns has memory of its own.
// CHECK-LABEL: func.func @slice
// CHECK-NEXT: %[[S:.*]] = npu_schedule.slice %x
// CHECK-NEXT: npu_schedule.pool max %[[S]]
// CHECK-NEXT: %[[T:.*]] = npu_schedule.slice %x
// CHECK-NEXT: npu_schedule.copy %[[T]]
func.func @slice(%x: tensor<1x4x4x8xi8>) -> (tensor<1x4x2x8xi8>, tensor<1x2x4x8xi8>) {
  %0 = npu_schedule.slice %x {offsets = #npu.ints<0, 1, 0>, strides = #npu.ints<1, 2, 1>} : tensor<1x4x4x8xi8> -> tensor<1x4x2x8xi8>
  %1 = npu_schedule.copy %0 : tensor<1x4x2x8xi8> -> tensor<1x4x2x8xi8>
  %2 = npu_schedule.pool max %1 window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x2x8xi8>) -> tensor<1x4x2x8xi8>
  %3 = npu_schedule.slice %x {offsets = #npu.ints<2, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x4x4x8xi8> -> tensor<1x2x4x8xi8>
  %4 = npu_schedule.copy %3 : tensor<1x2x4x8xi8> -> tensor<1x2x4x8xi8>
  func.return %2, %4 : tensor<1x4x2x8xi8>, tensor<1x2x4x8xi8>
}

// No strides show 4 rows of a part of the channels as one row: that copy has to stay.
// CHECK-LABEL: func.func @no_strides
// CHECK: npu_schedule.copy
func.func @no_strides(%x: tensor<1x4x4x8xi8>) -> tensor<1x1x1x64xi8> {
  %0 = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 4>, strides = #npu.ints<1, 1, 1>} : tensor<1x4x4x8xi8> -> tensor<1x4x4x4xi8>
  %1 = npu_schedule.copy %0 : tensor<1x4x4x4xi8> -> tensor<1x4x4x4xi8>
  %2 = npu_schedule.reshape %1 : tensor<1x4x4x4xi8> -> tensor<1x1x1x64xi8>
  %3 = npu_schedule.pool max %2 window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x1x1x64xi8>) -> tensor<1x1x1x64xi8>
  func.return %3 : tensor<1x1x1x64xi8>
}

// What the region returns with rows and columns exchanged is written so.
// CHECK-LABEL: func.func @written_exchanged
// CHECK-NEXT: %k = npu_schedule.pool max %x
// CHECK-NEXT: %[[T:.*]] = npu_schedule.transpose %k
// CHECK-NEXT: func.return %[[T]]
func.func @written_exchanged(%x: tensor<1x4x6x16xi8>) -> tensor<1x6x4x16xi8> {
  %k = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x6x16xi8>) -> tensor<1x4x6x16xi8>
  %t = npu_schedule.transpose %k : tensor<1x4x6x16xi8> -> tensor<1x6x4x16xi8>
  %y = npu_schedule.copy %t : tensor<1x6x4x16xi8> -> tensor<1x6x4x16xi8>
  func.return %y : tensor<1x6x4x16xi8>
}

// Into a concat as well. An argument could be read so by the kernel behind it, but not backwards: of its two copies that
// one stays which is written backwards.
// CHECK-LABEL: func.func @placed_and_read
// CHECK-NEXT: %k = npu_schedule.pool max %x
// CHECK-NEXT: %[[T:.*]] = npu_schedule.transpose %k
// CHECK-NEXT: %[[R:.*]] = npu_schedule.transpose %x
// CHECK-NEXT: %[[B:.*]] = npu_schedule.copy %[[R]]
// CHECK-NEXT: %[[S:.*]] = npu_schedule.slice %[[B]]
// CHECK-NEXT: %j = npu_schedule.pool max %[[S]]
// CHECK-NEXT: npu_schedule.concat %[[T]], %j
func.func @placed_and_read(%x: tensor<1x4x6x16xi8>) -> tensor<1x12x4x16xi8> {
  %k = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x4x6x16xi8>) -> tensor<1x4x6x16xi8>
  %t = npu_schedule.transpose %k : tensor<1x4x6x16xi8> -> tensor<1x6x4x16xi8>
  %a = npu_schedule.copy %t : tensor<1x6x4x16xi8> -> tensor<1x6x4x16xi8>
  %r = npu_schedule.transpose %x : tensor<1x4x6x16xi8> -> tensor<1x6x4x16xi8>
  %b = npu_schedule.copy %r : tensor<1x6x4x16xi8> -> tensor<1x6x4x16xi8>
  %s = npu_schedule.slice %b {offsets = #npu.ints<0, 3, 0>, strides = #npu.ints<1, -1, 1>} : tensor<1x6x4x16xi8> -> tensor<1x6x4x16xi8>
  %c = npu_schedule.copy %s : tensor<1x6x4x16xi8> -> tensor<1x6x4x16xi8>
  %j = npu_schedule.pool max %c window <3x1, pad 1 0 1 0> zero_points <0, 0> activation <0, 127> : (tensor<1x6x4x16xi8>) -> tensor<1x6x4x16xi8>
  %y = npu_schedule.concat %a, %j {axis = #npu.ints<1>} : (tensor<1x6x4x16xi8>, tensor<1x6x4x16xi8>) -> tensor<1x12x4x16xi8>
  func.return %y : tensor<1x12x4x16xi8>
}

// Both halves of %x are joined with a third part that is made of the second: %x itself lies in the concat, and nothing is
// copied. As converted, each half is copied out and then copied to its place.
//
// CHECK-LABEL: @halves
// CHECK-NOT: copy
// CHECK: %x = npu_schedule.pool
// CHECK-NEXT: %b = npu_schedule.slice %x
// CHECK-NEXT: %y = npu_schedule.pool max %b
// CHECK-NEXT: npu_schedule.concat %x, %y {axis = #npu.ints<3>}
// CHECK-NOT: copy
func.func @halves(%i: tensor<1x8x8x32xi8>) -> tensor<1x8x8x48xi8> attributes {npu.region} {
  %x = npu_schedule.pool max %i window <1x1> zero_points <0, 0> activation <-128, 127>
       : (tensor<1x8x8x32xi8>) -> tensor<1x8x8x32xi8>
  %a = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x8x8x32xi8> -> tensor<1x8x8x16xi8>
  %ca = npu_schedule.copy %a : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
  %b = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 16>, strides = #npu.ints<1, 1, 1>} : tensor<1x8x8x32xi8> -> tensor<1x8x8x16xi8>
  %cb = npu_schedule.copy %b : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
  %y = npu_schedule.pool max %cb window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
  %p = npu_schedule.copy %ca : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
  %q = npu_schedule.copy %cb : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
  %r = npu_schedule.copy %y : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
  %c = npu_schedule.concat %p, %q, %r {axis = #npu.ints<3>}
       : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x48xi8>
  func.return %c : tensor<1x8x8x48xi8>
}
