// RUN: npu-opt %s -t asm | filecheck %s
// RUN: npu-opt %s -t tflite | npu-opt -f tflite -t asm | filecheck %s --check-prefix=FILE

// The words of a command stream: byte offset, words, register, its value. Registers keep their values, so the second
// kernel sets only what is different.
module attributes {npu.target = #npu.target<"ethos-u65-512">} {
  func.func @main(%x: tensor<1x2x2x16xi8>) -> tensor<1x2x2x16xi8> {
    %y = npu.invoke @npu_0(%x) : (tensor<1x2x2x16xi8>) -> tensor<1x2x2x16xi8> loc("y")
    func.return %y : tensor<1x2x2x16xi8>
  }
  npu_cmd.program @npu_0 {
    %x = npu_cmd.input index <0> address <64> : !npu.buffer<64, arena>
    %y = npu_cmd.output index <0> address <0> : !npu.buffer<64, arena>
    npu_cmd.pool max ifm %x <2x2x16xi8, nhwc, zero_point -3> ofm %y <2x2x16xi8, nhwc> window <1x1>
      scale <per_channel, double_round> activation <-128, 127>
      block <2x2x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <0>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena> loc("first")
    npu_cmd.wait kernel pending <0>
    npu_cmd.pool average ifm %x <2x2x16xi8, nhwc, zero_point -3> ofm %y <2x2x16xi8, nhwc> window <1x1>
      scale <1073741824, shift 30, natural> activation <-128, 127>
      block <2x2x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <3>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena> loc("second")
    npu_cmd.stop
  }
}

// CHECK:      @npu_0 for ethos-u65-512, {{[0-9]+}} words
// CHECK-NEXT: 0000  00010123           NPU_SET_PARALLEL_MODE      mode=dual_depth
// CHECK:      00004000 00000040  NPU_SET_IFM_BASE0          64
// CHECK:      {{[0-9a-f]+}}  fffd0109           NPU_SET_IFM_ZERO_POINT     -3
// CHECK:      00010105           NPU_SET_IFM_PRECISION      type=signed precision=8 format=nhwc scale_mode=16 round=double
// CHECK:      00000005           NPU_OP_POOL                MAX     // first
// CHECK-NEXT: {{[0-9a-f]+}}  001e4024 40000000  NPU_SET_OFM_SCALE          1073741824 >> 30
// CHECK-NEXT: NPU_SET_OFM_PRECISION      type=signed precision=8 format=nhwc scale_mode=global round=natural
// CHECK-NEXT: NPU_SET_BLOCKDEP           3
// The wait stands right before the operation that needs it.
// CHECK-NEXT: 00000012           NPU_OP_KERNEL_WAIT         0
// CHECK-NEXT: 00010005           NPU_OP_POOL                AVERAGE // second
// CHECK-NEXT: ffff0000           NPU_OP_STOP                65535

// A compiled file is shown as it stands.
// FILE:      tfl.custom (y) for ethos-u65-512, 71 words
// FILE-NEXT: 0000  00010123           NPU_SET_PARALLEL_MODE      mode=dual_depth
// FILE:      NPU_OP_STOP
