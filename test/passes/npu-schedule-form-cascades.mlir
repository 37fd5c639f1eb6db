// RUN: npu-opt %s -p npu-schedule-form-cascades --split-input-file | filecheck %s

// Three kernels are planned as cascade 0: they move into one, and only the last result leaves it.
// The numbers have done their work; the rows a launch and the rolling buffers stay where they were written.

// CHECK-LABEL: @chain
// CHECK-NEXT:    %[[OUT:.*]] = npu_schedule.cascade -> tensor<1x16x16x8xi8> {
// CHECK-NEXT:      %[[A:.*]] = npu_schedule.pool max %{{.*}} stripe <2> rolling <4> :
// CHECK-NEXT:      %[[B:.*]] = npu_schedule.pool max %[[A]] {{.*}} stripe <2> rolling <2> :
// CHECK-NEXT:      %[[C:.*]] = npu_schedule.elementwise abs %[[B]] {{.*}} stripe <2> :
// CHECK-NEXT:      npu_schedule.yield %[[C]]
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[OUT]]
!t = tensor<1x16x16x8xi8>
func.func @chain(%x: !t) -> !t attributes {npu.region} {
  %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <4> : (!t) -> !t
  %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <2> : (!t) -> !t
  %c = npu_schedule.elementwise abs %b zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> : (!t) -> !t
  func.return %c : !t
}

// -----

// A residual: both operands of the sum come from inside, so the skipped value rolls as well, by the lag of the branch.
// %d does not belong to the cascade but needs a result of it: it moves behind, and %a is yielded for it.

// CHECK-LABEL: @residual
// CHECK-NEXT:    %[[X:.*]], %[[Y:.*]] = npu_schedule.cascade -> tensor<1x16x16x8xi8>, tensor<1x16x16x8xi8> {
// CHECK-NEXT:      %[[A:.*]] = npu_schedule.elementwise abs
// CHECK-NEXT:      %[[B:.*]] = npu_schedule.pool max %[[A]]
// CHECK-NEXT:      %[[C:.*]] = npu_schedule.elementwise max %[[A]], %[[B]]
// CHECK-NEXT:      npu_schedule.yield %[[A]], %[[C]]
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[D:.*]] = npu_schedule.elementwise abs %[[X]]
// CHECK-NEXT:    func.return %[[Y]], %[[D]]
!t = tensor<1x16x16x8xi8>
func.func @residual(%x: !t) -> (!t, !t) attributes {npu.region} {
  %a = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> : (!t) -> !t
  %d = npu_schedule.elementwise abs %a zero_points <0, 0> activation <-128, 127> : (!t) -> !t
  %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <2> : (!t) -> !t
  %c = npu_schedule.elementwise max %a, %b zero_points <0, 0, 0> activation <-128, 127>
       cascade <0> stripe <2> : (!t, !t) -> !t
  func.return %c, %d : !t, !t
}

// -----

// Two kernels make parts of a concat, which a third one reads, and a fourth a slice of it. The views move into the cascade
// with them. Both parts lie in one rolling buffer, in rows of 32 bytes a column.

// CHECK-LABEL: @parts
// CHECK-NEXT:    %[[OUT:.*]] = npu_schedule.cascade -> tensor<1x16x16x16xi8> {
// CHECK-NEXT:      %[[A:.*]] = npu_schedule.pool max %{{.*}} stripe <2> rolling <4> :
// CHECK-NEXT:      %[[B:.*]] = npu_schedule.elementwise abs %{{.*}} stripe <2> rolling <4> :
// CHECK-NEXT:      %[[C:.*]] = npu_schedule.concat %[[A]], %[[B]]
// CHECK-NEXT:      %[[S:.*]] = npu_schedule.slice %[[C]]
// CHECK-NEXT:      %[[M:.*]] = npu_schedule.pool max %[[S]]
// CHECK-NEXT:      %[[Y:.*]] = npu_schedule.elementwise max %[[M]], %[[B]]
// CHECK-NEXT:      npu_schedule.yield %[[Y]]
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[OUT]]
!t = tensor<1x16x16x16xi8>
!w = tensor<1x16x16x32xi8>
func.func @parts(%x: !t) -> !t attributes {npu.region} {
  %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <4> : (!t) -> !t
  %b = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <4> : (!t) -> !t
  %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>} : (!t, !t) -> !w
  %s = npu_schedule.slice %c {offsets = #npu.ints<0, 0, 8>, strides = #npu.ints<1, 1, 1>} : !w -> !t
  %m = npu_schedule.pool max %s window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
       cascade <0> stripe <2> rolling <2> : (!t) -> !t
  %y = npu_schedule.elementwise max %m, %b zero_points <0, 0, 0> activation <-128, 127>
       cascade <0> stripe <2> : (!t, !t) -> !t
  func.return %y : !t
}
