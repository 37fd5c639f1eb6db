// RUN: npu-opt %s -p npu-cmd-allocate,npu-cmd-print-liveness 2>&1 >/dev/null | filecheck %s
// RUN: npu-opt %s -p npu-cmd-print-liveness 2>/dev/null | filecheck %s --check-prefix=IR

// Who needs memory when. Time is the number of the command, constants included; the program starts at 1.
//
// CHECK:      arena: 1536 bytes alive at one time at most, first at npu_cmd.alloc of @p; 1536 allocated
// CHECK-NEXT:     bytes   address   from     to  time       buffer
// CHECK-NEXT:      1024         0      4      6  .###.....  %first (Conv_1)
// CHECK-NEXT:      1000         0      7     10  .|..####.  %second
// CHECK-NEXT:       512      1024      3     11  #########  %long
// CHECK-NEXT:                                    399988883

// The module itself stays as it is.
// IR:      npu_cmd.program @p {
// IR:        %long = npu_cmd.alloc : !npu.buffer<512, arena>
npu_cmd.program @p {
  %c0 = npu_cmd.constant dense<1> : tensor<16xui8> -> !npu.buffer<16, read_only>
  %c1 = npu_cmd.constant dense<2> : tensor<16xui8> -> !npu.buffer<16, read_only>
  %long = npu_cmd.alloc : !npu.buffer<512, arena>
  %first = npu_cmd.alloc : !npu.buffer<1024, arena>
  npu_cmd.pool max ifm %long <4x8x16xi8, nhwc> ofm %first <4x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
    activation <-128, 127> block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
    : !npu.buffer<512, arena>, !npu.buffer<1024, arena> loc("Conv_1")
  npu_cmd.free %first : !npu.buffer<1024, arena>
  %second = npu_cmd.alloc : !npu.buffer<1000, arena>
  npu_cmd.dma from %c0 to %second size <16> : !npu.buffer<16, read_only>, !npu.buffer<1000, arena>
  npu_cmd.dma from %c1 to %long size <16> : !npu.buffer<16, read_only>, !npu.buffer<512, arena>
  npu_cmd.free %second : !npu.buffer<1000, arena>
  npu_cmd.free %long : !npu.buffer<512, arena>
  npu_cmd.stop
}
