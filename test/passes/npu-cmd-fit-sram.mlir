// RUN: npu-opt %s -p npu-cmd-fit-sram --split-input-file | filecheck %s

// A pool reads 4096 bytes and writes 4096; meanwhile the 512 bytes of weights of the convolution behind it are brought.
// The programs differ in nothing but the limit.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // All 8704 bytes may be alive at one time: nothing changes.
  // CHECK-LABEL: @enough
  // CHECK:      npu_cmd.dma from %w to %b
  // CHECK-NEXT: npu_cmd.pool
  // CHECK-NEXT: npu_cmd.free %x
  // CHECK-NEXT: npu_cmd.conv {{.*}} weights %b <160, 352> scales %b <0, 160>
  npu_cmd.program @enough attributes {npu.sram_limit = 8704 : i64} {
    %x = npu_cmd.input index <0> : !npu.buffer<4096, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<1024, arena>
    %w = npu_cmd.constant dense<0> : tensor<512xui8> -> !npu.buffer<512, read_only>
    %p = npu_cmd.alloc : !npu.buffer<4096, arena>
    %b = npu_cmd.alloc : !npu.buffer<512, arena>
    npu_cmd.dma from %w to %b size <512> : !npu.buffer<512, read_only>, !npu.buffer<512, arena>
    npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %p <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <16x8x16> shram <ib_end 6, ab_start 6, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
    npu_cmd.free %x : !npu.buffer<4096, arena>
    npu_cmd.conv ifm %p <16x16x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %b <160, 352> scales %b <0, 160>
      window <1x1, stride 2x2> scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<1024, arena>, !npu.buffer<512, arena>, !npu.buffer<512, arena>
    npu_cmd.free %p : !npu.buffer<4096, arena>
    npu_cmd.free %b : !npu.buffer<512, arena>
    npu_cmd.stop
  }

}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // The pool leaves no room for the buffer, the convolution does: it is filled when the pool is through.
  // CHECK-LABEL: @filled_late
  // CHECK:      npu_cmd.pool
  // CHECK-NEXT: npu_cmd.free %x
  // CHECK-NEXT: npu_cmd.alloc
  // CHECK-NEXT: npu_cmd.dma from %w to %[[B:.*]] size <512>
  // CHECK-NEXT: npu_cmd.conv {{.*}} weights %[[B]] <160, 352> scales %[[B]] <0, 160>
  npu_cmd.program @filled_late attributes {npu.sram_limit = 8192 : i64} {
    %x = npu_cmd.input index <0> : !npu.buffer<4096, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<1024, arena>
    %w = npu_cmd.constant dense<0> : tensor<512xui8> -> !npu.buffer<512, read_only>
    %p = npu_cmd.alloc : !npu.buffer<4096, arena>
    %b = npu_cmd.alloc : !npu.buffer<512, arena>
    npu_cmd.dma from %w to %b size <512> : !npu.buffer<512, read_only>, !npu.buffer<512, arena>
    npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %p <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <16x8x16> shram <ib_end 6, ab_start 6, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
    npu_cmd.free %x : !npu.buffer<4096, arena>
    npu_cmd.conv ifm %p <16x16x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %b <160, 352> scales %b <0, 160>
      window <1x1, stride 2x2> scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<1024, arena>, !npu.buffer<512, arena>, !npu.buffer<512, arena>
    npu_cmd.free %p : !npu.buffer<4096, arena>
    npu_cmd.free %b : !npu.buffer<512, arena>
    npu_cmd.stop
  }

}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // A buffer of 3600 bytes has no room even beside the convolution: that reads its weights where they are.
  // CHECK-LABEL: @in_place
  // CHECK-NOT:  npu_cmd.dma
  // CHECK:      npu_cmd.conv {{.*}} weights %w <160, 352> scales %w <0, 160>
  // CHECK-NEXT: npu_cmd.free %p
  // CHECK-NEXT: npu_cmd.stop
  npu_cmd.program @in_place attributes {npu.sram_limit = 8192 : i64} {
    %x = npu_cmd.input index <0> : !npu.buffer<4096, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<1024, arena>
    %w = npu_cmd.constant dense<0> : tensor<3600xui8> -> !npu.buffer<3600, read_only>
    %p = npu_cmd.alloc : !npu.buffer<4096, arena>
    %b = npu_cmd.alloc : !npu.buffer<3600, arena>
    npu_cmd.dma from %w to %b size <3600> : !npu.buffer<3600, read_only>, !npu.buffer<3600, arena>
    npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %p <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <16x8x16> shram <ib_end 6, ab_start 6, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
    npu_cmd.free %x : !npu.buffer<4096, arena>
    npu_cmd.conv ifm %p <16x16x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %b <160, 352> scales %b <0, 160>
      window <1x1, stride 2x2> scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<1024, arena>, !npu.buffer<3600, arena>, !npu.buffer<3600, arena>
    npu_cmd.free %p : !npu.buffer<4096, arena>
    npu_cmd.free %b : !npu.buffer<3600, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // The same, but weights and scales have been brought from two constants, each from somewhere within.
  // CHECK-LABEL: @from_elsewhere
  // CHECK-NOT:  npu_cmd.dma
  // CHECK:      npu_cmd.conv {{.*}} weights %v <48, 352> scales %w <3240, 160>
  npu_cmd.program @from_elsewhere attributes {npu.sram_limit = 8192 : i64} {
    %x = npu_cmd.input index <0> : !npu.buffer<4096, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<1024, arena>
    %w = npu_cmd.constant dense<0> : tensor<3600xui8> -> !npu.buffer<3600, read_only>
    %v = npu_cmd.constant dense<1> : tensor<400xui8> -> !npu.buffer<400, read_only>
    %p = npu_cmd.alloc : !npu.buffer<4096, arena>
    %b = npu_cmd.alloc : !npu.buffer<3600, arena>
    npu_cmd.dma from %w <3240> to %b size <160> : !npu.buffer<3600, read_only>, !npu.buffer<3600, arena>
    npu_cmd.dma from %v <48> to %b <160> size <352> : !npu.buffer<400, read_only>, !npu.buffer<3600, arena>
    npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %p <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <16x8x16> shram <ib_end 6, ab_start 6, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
    npu_cmd.free %x : !npu.buffer<4096, arena>
    npu_cmd.conv ifm %p <16x16x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %b <160, 352> scales %b <0, 160>
      window <1x1, stride 2x2> scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<1024, arena>, !npu.buffer<3600, arena>, !npu.buffer<3600, arena>
    npu_cmd.free %p : !npu.buffer<4096, arena>
    npu_cmd.free %b : !npu.buffer<3600, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // The pool's feature maps need 8192 bytes: no buffer that gives way would help, so none does.
  // CHECK-LABEL: @maps_alone_miss_it
  // CHECK:      npu_cmd.dma from %w to %b
  // CHECK-NEXT: npu_cmd.pool
  // CHECK:      npu_cmd.conv {{.*}} weights %b <160, 352> scales %b <0, 160>
  npu_cmd.program @maps_alone_miss_it attributes {npu.sram_limit = 5600 : i64} {
    %x = npu_cmd.input index <0> : !npu.buffer<4096, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<1024, arena>
    %w = npu_cmd.constant dense<0> : tensor<512xui8> -> !npu.buffer<512, read_only>
    %p = npu_cmd.alloc : !npu.buffer<4096, arena>
    %b = npu_cmd.alloc : !npu.buffer<512, arena>
    npu_cmd.dma from %w to %b size <512> : !npu.buffer<512, read_only>, !npu.buffer<512, arena>
    npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %p <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <16x8x16> shram <ib_end 6, ab_start 6, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
    npu_cmd.free %x : !npu.buffer<4096, arena>
    npu_cmd.conv ifm %p <16x16x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %b <160, 352> scales %b <0, 160>
      window <1x1, stride 2x2> scale <per_channel, double_round> activation <-128, 127> block <4x4x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<4096, arena>, !npu.buffer<1024, arena>, !npu.buffer<512, arena>, !npu.buffer<512, arena>
    npu_cmd.free %p : !npu.buffer<4096, arena>
    npu_cmd.free %b : !npu.buffer<512, arena>
    npu_cmd.stop
  }
}
