// RUN: npu-opt %s -p npu-schedule-form-cascades,npu-schedule-overlap-results --split-input-file | filecheck %s
// RUN: npu-opt %s -p npu-schedule-form-cascades,npu-schedule-overlap-results,convert-npu-schedule-to-npu-cmd,npu-cmd-allocate --split-input-file | filecheck %s --check-prefix=CMD

// Three pools of 16 rows, 256 bytes each, every one to lie over what it reads. %a is made from the first rows to the last:
// its third stripe ends with row 9 (2304 bytes) and reads from row 5 (1280 bytes) on, and so for the others. So it must
// begin 1024 bytes before %x. %b is made upwards, in stripes of 4, and must end 1280 bytes behind %a; %c as %a again.
// A chain that always goes down would want three steps of memory; so all of them keep to 4096 + 1280 bytes.

// CHECK-LABEL: @chain
// CHECK: pool max %x {{.*}} stripe <3> over %x at <-1024> :
// CHECK: pool max %[[A:.*]] window {{.*}} stripe <4> upwards over %[[A]] at <1280> :
// CHECK: pool max %[[B:.*]] window {{.*}} stripe <4> over %[[B]] at <-1280> :

// Upwards the last rows come first, with the padding below.
// CMD:      npu.arena_size = 5376
// CMD-LABEL: @chain
// CMD:      npu_cmd.overlap %[[A:.*]], %{{.*}} at_most <-1024>
// CMD:      npu_cmd.overlap %[[B:.*]], %[[A]] at_least <1280>
// CMD-NEXT: pool max ifm %[[A]] <5x16x16xi8, nhwc, offset 2816> ofm %[[B]] <4x16x16xi8, nhwc, offset 3072> window <3x3, pad 0 1 1 1>
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @chain(%x: !t) -> !t attributes {npu.region} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <0> stripe <3> over %x : (!t, !t) -> !t
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <1> stripe <4> upwards over %a : (!t, !t) -> !t
    %c = npu_schedule.pool max %b window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <2> stripe <4> over %b : (!t, !t) -> !t
    func.return %c : !t
  }
}

// -----

// %a is read again by %c: %b has memory of its own. What a hand has written stays, here more than is needed.

// CHECK-LABEL: @needed
// CHECK: pool max %[[A:.*]] window {{.*}} stripe <4> over %[[A]] :
// CHECK: elementwise max {{.*}} stripe <1> over %{{.*}} at <-512> :

// CMD-LABEL: @needed
// CMD:     npu_cmd.overlap %{{.*}}, %{{.*}} at_most <-512>
// CMD-NOT: npu_cmd.overlap
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @needed(%x: !t) -> !t attributes {npu.region} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <0> stripe <4> over %a : (!t, !t) -> !t
    %c = npu_schedule.cascade -> !t {
      %1 = npu_schedule.elementwise max %a, %b zero_points <0, 0, 0> activation <-128, 127>
           stripe <1> over %b at <-512> : (!t, !t, !t) -> !t
      npu_schedule.yield %1 : !t
    }
    func.return %c : !t
  }
}

// -----

// %a is in a rolling buffer of the same cascade, and nothing reads %z there: both results have memory of their own.

// CHECK-LABEL: @rolling
// CHECK: pool max %[[A:.*]] window {{.*}} stripe <2> over %[[A]] :
// CHECK: pool max %{{.*}} window {{.*}} stripe <2> over %z :
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @rolling(%x: !t, %z: !t) -> !t attributes {npu.region} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <0> stripe <2> rolling <4> : (!t) -> !t
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <0> stripe <2> over %a : (!t, !t) -> !t
    %c = npu_schedule.pool max %b window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         cascade <1> stripe <2> over %z : (!t, !t) -> !t
    func.return %c : !t
  }
}
