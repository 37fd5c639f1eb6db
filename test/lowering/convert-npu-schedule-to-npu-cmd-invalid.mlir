// What the machine has no memory for, or cannot transfer without touching what lies beside, is one line.
// RUN: npu-opt %s -p convert-npu-schedule-to-npu-cmd --split-input-file --verify-diagnostics | filecheck %s

// CHECK: 'npu_schedule.pool': in this memory mode there is no fast memory beside the arena
!t = tensor<1x16x16x16xi8>
!f = tensor<1x16x16x16xi8, #npu.layout<nhwc, fast>>
module attributes {npu.target = #npu.target<"ethos-u55-256">} {
  func.func @fast(%x: !t) -> !t attributes {npu.region} {
    %z = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !f
    %y = npu_schedule.pool max %z window <1x1> zero_points <0, 0> activation <-128, 127> : (!f) -> !t
    func.return %y : !t
  }
}

// -----

// The row of 24 bytes that is brought lies right before one that a kernel has written.
// CHECK: 'npu_schedule.transfer': ethos-u55-256 transfers multiples of 16 bytes
!t = tensor<1x1x3x8xi8>
!u = tensor<1x2x3x8xi8>
module attributes {npu.target = #npu.target<"ethos-u55-256">} {
  func.func @beside(%x: !t) -> !u attributes {npu.region} {
    %k = npu_schedule.constant dense<1> : !t
    %z = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %y = npu_schedule.transfer %k : (!t) -> !t
    %c = npu_schedule.concat %y, %z {axis = #npu.ints<1>} : (!t, !t) -> !u
    %r = npu_schedule.pool max %c window <1x1> zero_points <0, 0> activation <-128, 127> : (!u) -> !u
    func.return %r : !u
  }
}
