// RUN: npu-opt %s | npu-opt | filecheck %s
// RUN: npu-opt %s --print-op-generic | npu-opt | filecheck %s

// Every operation of the linear program. A buffer lives from its alloc to its free; addresses come last.
module attributes {npu.target = #npu.target<"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram">} {
  npu_cmd.program @npu_0 {
    // CHECK:      [[x:%.*]] = npu_cmd.input index <0> address <0> : !npu.buffer<6912, arena>
    // CHECK-NEXT: [[y:%.*]] = npu_cmd.output index <0> : !npu.buffer<9216, arena>
    // CHECK-NEXT: [[w:%.*]] = npu_cmd.constant address <512> dense<1> : tensor<1168xui8> -> !npu.buffer<1168, read_only>
    // CHECK-NEXT: [[t:%.*]] = npu_cmd.constant dense<2> : tensor<256xui8> -> !npu.buffer<256, read_only>
    // CHECK-NEXT: [[f:%.*]] = npu_cmd.memory : !npu.buffer<4096, fast>
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<6912, arena>
    %y = npu_cmd.output index <0> : !npu.buffer<9216, arena>
    %w = npu_cmd.constant address <512> dense<1> : tensor<1168xui8> -> !npu.buffer<1168, read_only>
    %t = npu_cmd.constant dense<2> : tensor<256xui8> -> !npu.buffer<256, read_only>
    %f = npu_cmd.memory : !npu.buffer<4096, fast>

    // CHECK-NEXT: [[s:%.*]] = npu_cmd.alloc : !npu.buffer<256, shram>
    // CHECK-NEXT: npu_cmd.dma from [[t]] to [[s]] size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    // CHECK-NEXT: npu_cmd.dma from [[w]] <16> to [[f]] <32> size <1152>
    // CHECK-NEXT: npu_cmd.wait dma pending <0>
    %s = npu_cmd.alloc : !npu.buffer<256, shram>
    npu_cmd.dma from %t to %s size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.dma from %w <16> to %f <32> size <1152> : !npu.buffer<1168, read_only>, !npu.buffer<4096, fast>
    npu_cmd.wait dma pending <0>

    // CHECK-NEXT: npu_cmd.conv ifm [[x]] <48x48x3xi8, nhwc, zero_point -1> ofm [[y]] <24x24x16xi8, nhcwb16, zero_point -128>
    // CHECK-SAME:   weights [[w]] <160, 1008> scales [[w]] <0, 160> window <3x3, stride 2x2, pad 0 0 1 1> part_kernel
    // CHECK-SAME:   scale <per_channel, double_round> activation <-128, 127>
    // CHECK-SAME:   block <8x8x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <0>
    npu_cmd.conv ifm %x <48x48x3xi8, nhwc, zero_point -1> ofm %y <24x24x16xi8, nhcwb16, zero_point -128>
      weights %w <160, 1008> scales %w <0, 160> window <3x3, stride 2x2, pad 0 0 1 1> part_kernel
      scale <per_channel, double_round> activation <-128, 127>
      block <8x8x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <0>
      : !npu.buffer<6912, arena>, !npu.buffer<9216, arena>, !npu.buffer<1168, read_only>, !npu.buffer<1168, read_only>

    // The last rows of a rolling buffer of 10: two rows, then eight from its start.
    // CHECK-NEXT: npu_cmd.depthwise ifm [[y]] <10x24x16xi8, nhwc, offset 3072, tiles 24 2 2 0 0 0>
    npu_cmd.depthwise ifm %y <10x24x16xi8, nhwc, offset 3072, tiles 24 2 2 0 0 0> ofm %x <8x22x16xi8, nhwc, offset 64>
      weights %w <160, 160> scales %w <0, 160> window <3x3>
      scale <per_channel, double_round> activation <-128, 127>
      block <4x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<9216, arena>, !npu.buffer<6912, arena>, !npu.buffer<1168, read_only>, !npu.buffer<1168, read_only>
    // CHECK-NEXT: npu_cmd.wait kernel pending <1>
    npu_cmd.wait kernel pending <1>

    // CHECK-NEXT: npu_cmd.pool average
    // CHECK-SAME:   window <8x8> scale <2147483649, shift 37, natural> activation <table, -128, 127> table [[s]] <0>
    npu_cmd.pool average ifm %x <8x8x16xi8, nhwc> ofm %y <1x1x16xi8, nhwc> window <8x8>
      scale <2147483649, shift 37, natural> activation <table, -128, 127> table %s <0>
      block <1x2x16> shram <ib_end 6, ab_start 14, acc 32>
      : !npu.buffer<6912, arena>, !npu.buffer<9216, arena>, !npu.buffer<256, shram>
    // CHECK-NEXT: npu_cmd.free [[s]] : !npu.buffer<256, shram>
    npu_cmd.free %s : !npu.buffer<256, shram>

    // CHECK-NEXT: npu_cmd.elementwise sub
    // CHECK-SAME:   ifm2 {{%.*}} <1x1x16xi8, nhwc, zero_point 3> broadcast <3> reversed operand_scales <ifm 1623821475, shift 13>
    npu_cmd.elementwise sub ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc>
      ifm2 %x <1x1x16xi8, nhwc, zero_point 3> broadcast <3> reversed operand_scales <ifm 1623821475, shift 13>
      scale <1098017566, shift 48, double_round> activation <-128, 127>
      block <8x8x16> shram <ib_end 22, ab_start 22, acc 32, ib2_start 10>
      : !npu.buffer<6912, arena>, !npu.buffer<9216, arena>, !npu.buffer<6912, arena>
    // CHECK-NEXT: npu_cmd.elementwise lrelu
    npu_cmd.elementwise lrelu ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc>
      scale <1098017566, shift 33, double_round> activation <-128, 127> block <8x8x16>
      shram <ib_end 22, ab_start 22, acc 32> : !npu.buffer<6912, arena>, !npu.buffer<9216, arena>
    // CHECK-NEXT: npu_cmd.elementwise mul {{.*}} scalar <7, -3>
    npu_cmd.elementwise mul ifm %x <8x8x16xi8, nhwc> ofm %y <8x8x16xi8, nhwc> scalar <7, -3>
      scale <1098017566, shift 33, double_round> activation <-128, 127> block <8x8x16>
      shram <ib_end 22, ab_start 22, acc 32> : !npu.buffer<6912, arena>, !npu.buffer<9216, arena>
    // CHECK-NEXT: npu_cmd.stop
    npu_cmd.stop
  }
}
