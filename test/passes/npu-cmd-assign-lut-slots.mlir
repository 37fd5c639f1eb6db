// RUN: npu-opt %s -p npu-cmd-assign-lut-slots --split-input-file | filecheck %s

// Lookup tables have eight slots of 256 bytes at the end of SHRAM. A table that still stands there is not fetched again.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @kept
  npu_cmd.program @kept {
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<1024, arena>
    %y = npu_cmd.output index <0> address <1024> : !npu.buffer<1024, arena>
    %a = npu_cmd.constant address <0> dense<1> : tensor<256xui8> -> !npu.buffer<256, read_only>
    %b = npu_cmd.constant address <256> dense<2> : tensor<256xui8> -> !npu.buffer<256, read_only>

    // CHECK: %t0 = npu_cmd.alloc address <22528>
    // CHECK-NEXT: dma from %a to %t0
    %t0 = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %a to %t0 size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <table, -128, 127> table %t0 block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<256, shram>
    npu_cmd.free %t0 : !npu.buffer<256, shram>

    // Another table takes the next slot, which has been unused for longer.
    // CHECK: %t1 = npu_cmd.alloc address <22784>
    // CHECK-NEXT: dma from %b to %t1
    %t1 = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %b to %t1 size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <table, -128, 127> table %t1 block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<256, shram>
    npu_cmd.free %t1 : !npu.buffer<256, shram>

    // The first table again: it is still where it was, so its transfer is dropped.
    // CHECK: %t2 = npu_cmd.alloc address <22528>
    // CHECK-NEXT: npu_cmd.pool
    %t2 = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %a to %t2 size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <table, -128, 127> table %t2 block <4x4x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<256, shram>
    npu_cmd.free %t2 : !npu.buffer<256, shram>
    npu_cmd.stop
  }
}

// -----

// This machine has no banks of its own for tables: the accumulators of a kernel that uses none may overwrite them.
module attributes {npu.target = #npu.target<"ethos-u55-32">} {
  // CHECK-LABEL: npu_cmd.program @overwritten
  npu_cmd.program @overwritten {
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<1024, arena>
    %y = npu_cmd.output index <0> address <1024> : !npu.buffer<1024, arena>
    %a = npu_cmd.constant address <0> dense<1> : tensor<256xui8> -> !npu.buffer<256, read_only>
    // CHECK: %t0 = npu_cmd.alloc address <14336>
    // CHECK-NEXT: dma from %a to %t0
    %t0 = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %a to %t0 size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <table, -128, 127> table %t0 block <4x4x16> shram <ib_end 4, ab_start 10, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<256, shram>
    npu_cmd.free %t0 : !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <4x4x16> shram <ib_end 4, ab_start 12, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    // CHECK: %t1 = npu_cmd.alloc
    // CHECK-NEXT: dma from %a to %t1
    %t1 = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %a to %t1 size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <table, -128, 127> table %t1 block <4x4x16> shram <ib_end 4, ab_start 10, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<256, shram>
    npu_cmd.free %t1 : !npu.buffer<256, shram>
    npu_cmd.stop
  }
}
