// RUN: npu-opt %s --split-input-file --verify-diagnostics | filecheck %s

// What a launch must be for the machine of its module to do it.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  npu_cmd.program @p {
    %x = npu_cmd.alloc : !npu.buffer<1024, arena>
    %y = npu_cmd.alloc : !npu.buffer<1024, arena>
    // CHECK: block width 3 is not a multiple of 2 from 2 to 64 (ethos-u55-128)
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <-128, 127> block <8x3x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  npu_cmd.program @p {
    %x = npu_cmd.alloc : !npu.buffer<1024, arena>
    %y = npu_cmd.alloc : !npu.buffer<1024, arena>
    // CHECK: block 32x64x16 needs more SHRAM than ethos-u55-128 has: input of 64 and accumulators of 256 banks in 20
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <-128, 127> block <32x64x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  npu_cmd.program @p {
    %x = npu_cmd.alloc : !npu.buffer<1024, arena>
    %y = npu_cmd.alloc : !npu.buffer<1024, arena>
    // CHECK: ab_start 20: the accumulators of such blocks start at 14 KiB of SHRAM
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 20, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  npu_cmd.program @p {
    %x = npu_cmd.alloc : !npu.buffer<1024, arena>
    %y = npu_cmd.alloc : !npu.buffer<1024, arena>
    // CHECK: stride 4x1: each must be 1 to 3
    npu_cmd.pool max ifm %x <8x8x16xi8, nhwc> ofm %y <2x8x16xi8, nhwc> window <1x1, stride 4x1> activation <-128, 127>
      scale <per_channel, double_round> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
    npu_cmd.stop
  }
}

// -----

// Whatever the machine is, a feature map lies in its buffer: the rows above the seam of a rolling buffer and those below.
npu_cmd.program @p {
  %x = npu_cmd.alloc : !npu.buffer<1024, arena>
  %y = npu_cmd.alloc : !npu.buffer<1024, arena>
  // CHECK: ifm lies in bytes 640 to 1280 of a buffer of 1024
  npu_cmd.pool max ifm %x <8x8x16xi8, nhwc, offset 896, tiles 8 3 3 0 640 0> ofm %y <8x8x16xi8, nhwc> window <1x1>
    scale <per_channel, double_round> activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32>
    : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
  npu_cmd.stop
}

// -----

npu_cmd.program @p {
  %x = npu_cmd.alloc : !npu.buffer<1024, arena>
  %y = npu_cmd.alloc : !npu.buffer<1024, arena>
  %w = npu_cmd.alloc : !npu.buffer<1024, arena>
  // CHECK: weights lie in bytes 160 to 1040 of a buffer of 1024
  npu_cmd.conv ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> weights %w <160, 880> scales %w <0, 160> window <1x1>
    scale <per_channel, double_round> activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32>
    : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
  npu_cmd.stop
}

// -----

npu_cmd.program @p {
  // CHECK: a kernel wait leaves 0 to 3 pending, not 4
  npu_cmd.wait kernel pending <4>
  npu_cmd.stop
}

// -----

npu_cmd.program @p {
  %x = npu_cmd.alloc : !npu.buffer<1024, arena>
  // CHECK: a scalar has a value and a zero point
  npu_cmd.elementwise max ifm %x <8x8x16xi8, nhwc> ofm %x <8x8x16xi8, nhwc> scalar <3> activation <-128, 127>
    scale <per_channel, double_round> block <8x8x16> shram <ib_end 22, ab_start 22, acc 32>
    : !npu.buffer<1024, arena>, !npu.buffer<1024, arena>
  npu_cmd.stop
}

// -----

npu_cmd.program @p {
  // CHECK: nothing is written to memory that is external
  %x = npu_cmd.alloc : !npu.buffer<1024, external>
  npu_cmd.stop
}
