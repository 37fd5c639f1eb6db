// RUN: npu-opt %s -p npu-cmd-set-blockdep | filecheck %s
// RUN: npu-opt %s -p 'npu-cmd-set-blockdep{most=2}' | filecheck %s --check-prefix=MOST
// MOST-NOT: blockdep <3>
// MOST:     blockdep <2>
// MOST-NOT: blockdep <3>
// MOST:     blockdep <1>

// BLOCKDEP says how many blocks of the kernel before may be unfinished when a kernel starts.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @p
  npu_cmd.program @p {
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<1024, arena>
    %y = npu_cmd.output index <0> address <1024> : !npu.buffer<1024, arena>
    %a = npu_cmd.alloc address <2048> : !npu.buffer<1024, arena>
    %b = npu_cmd.alloc address <3072> : !npu.buffer<1024, arena>

    // Nothing runs before the first.
    // CHECK: ofm %a {{.*}} blockdep <0>
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %a <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <1x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // It reads nothing that its predecessor writes: as much overlap as the machine can do.
    // CHECK: ofm %b {{.*}} blockdep <3>
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %b <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <1x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // Row by row: its first three rows are not among the last three of the eight that its predecessor writes.
    // CHECK: ifm %b {{.*}} ofm %a {{.*}} blockdep <3>
    npu_cmd.pool max ifm %b <8x8x16xi8, nhwc> ofm %a <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <1x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // A window of seven rows: the first block needs the second row from below, so one block may be unfinished.
    // CHECK: ifm %a {{.*}} ofm %b {{.*}} blockdep <1>
    npu_cmd.pool max ifm %a <8x8x16xi8, nhwc> ofm %b <2x8x16xi8, nhwc> window <7x1> scale <1, shift 0, natural>
      activation <-128, 127> block <1x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // What it reads is complete, but two kernels in a row write %y: also what is overwritten keeps its order.
    // CHECK: ofm %y <8x8x16xi8, nhwc> {{.*}} blockdep <3>
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    // CHECK: ofm %y <8x8x16xi8, nhwc> {{.*}} blockdep <0>
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.free %a : !npu.buffer<1024, arena>
    npu_cmd.free %b : !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}
