// RUN: npu-opt %s -p npu-cmd-insert-waits --split-input-file | filecheck %s

// Transfers and kernels run side by side; a wait stands only where the bytes of the one matter to the other.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @p
  npu_cmd.program @p {
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<1024, arena>
    %y = npu_cmd.output index <0> address <1024> : !npu.buffer<1024, arena>
    %c = npu_cmd.constant address <0> dense<1> : tensor<1024xui8> -> !npu.buffer<1024, read_only>
    %b = npu_cmd.alloc address <2048> : !npu.buffer<1024, arena>

    // The kernel does not touch the bytes that come in meanwhile: nobody waits.
    // CHECK: npu_cmd.dma from %c to %b
    // CHECK-NEXT: npu_cmd.pool max ifm %x
    npu_cmd.dma from %c to %b size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // This one reads them.
    // CHECK-NEXT: npu_cmd.wait dma pending <0>
    // CHECK-NEXT: npu_cmd.pool max ifm %b
    npu_cmd.pool max ifm %b <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>

    // The kernel just issued reads %b, so it must be done before more is written there. A kernel that has been issued
    // after it, and does not touch %b, may stay pending.
    // CHECK: npu_cmd.pool max ifm %x
    // CHECK-NEXT: npu_cmd.wait kernel pending <1>
    // CHECK-NEXT: npu_cmd.dma from %c to %b
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.dma from %c to %b size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.free %b : !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

// Two transfers may be outstanding on this machine: the kernel waits for the older one only, which brings its input.
module attributes {npu.target = #npu.target<"ethos-u65-256">} {
  // CHECK-LABEL: npu_cmd.program @two_transfers
  npu_cmd.program @two_transfers {
    %y = npu_cmd.output index <0> address <1024> : !npu.buffer<1024, arena>
    %c = npu_cmd.constant address <0> dense<1> : tensor<1024xui8> -> !npu.buffer<1024, read_only>
    %b = npu_cmd.alloc address <2048> : !npu.buffer<1024, arena>
    %d = npu_cmd.alloc address <3072> : !npu.buffer<1024, arena>
    // CHECK: dma from %c to %b
    // CHECK-NEXT: dma from %c to %d
    // CHECK-NEXT: wait dma pending <1>
    // CHECK-NEXT: pool max ifm %b
    // CHECK-NEXT: wait dma pending <0>
    // CHECK-NEXT: pool max ifm %d
    npu_cmd.dma from %c to %b size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.dma from %c to %d size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.pool max ifm %b <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 10, ab_start 30, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.pool max ifm %d <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 10, ab_start 30, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.free %b : !npu.buffer<1024, arena>
    npu_cmd.free %d : !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

// Nothing says that of two outstanding transfers the first is done first: the one that writes there too waits for it.
module attributes {npu.target = #npu.target<"ethos-u65-256">} {
  // CHECK-LABEL: npu_cmd.program @same_place
  npu_cmd.program @same_place {
    %c = npu_cmd.constant address <0> dense<1> : tensor<1024xui8> -> !npu.buffer<1024, read_only>
    %b = npu_cmd.alloc address <2048> : !npu.buffer<1024, arena>
    // CHECK:      dma from %c to %b size <512>
    // CHECK-NEXT: wait dma pending <0>
    // CHECK-NEXT: dma from %c to %b size <1024>
    npu_cmd.dma from %c to %b size <512> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.dma from %c to %b size <1024> : !npu.buffer<1024, read_only>, !npu.buffer<1024, arena>
    npu_cmd.free %b : !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}
