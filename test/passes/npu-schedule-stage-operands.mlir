// RUN: npu-opt %s -p npu-schedule-stage-operands --split-input-file | filecheck %s
// RUN: npu-opt %s -p 'npu-schedule-stage-operands,convert-npu-schedule-to-npu-cmd,npu-cmd-hoist-dma' --split-input-file | filecheck %s --check-prefix=CMD

// %b is added to every pixel and lies in flash, which gives a byte a cycle. Brought to the arena it is read while the
// pool before runs, and there is memory left for it below the limit.
// CHECK-LABEL: @large
// CHECK:      [[NEAR:%.*]] = npu_schedule.transfer %b : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
// CHECK-NEXT: elementwise add %a, [[NEAR]]
// CMD-LABEL: @large
// CMD:      npu_cmd.pool max
// CMD:      npu_cmd.pool max
// CMD:      npu_cmd.dma from %{{.*}} to [[BUFFER:%.*]] size
// CMD:      npu_cmd.elementwise add {{.*}} ifm2 [[BUFFER]]
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-256", "", "", limit 20000>} {
  func.func @large(%x: !t) -> !t attributes {npu.region} {
    %b = npu_schedule.constant dense<1> : !t
    %z = npu_schedule.pool max %x window <7x7, pad 3 3 3 3> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %a = npu_schedule.pool max %z window <7x7, pad 3 3 3 3> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %y = npu_schedule.elementwise add %a, %b zero_points <0, 0, 0> activation <-128, 127> : (!t, !t) -> !t
    func.return %y : !t
  }
}

// -----

// With nothing to run beside, and no memory, operands stay where they are.
// CHECK-LABEL: @alone
// CHECK-NOT: transfer
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-256", "", "", limit 8192>} {
  func.func @alone(%x: !t) -> !t attributes {npu.region} {
    %b = npu_schedule.constant dense<1> : !t
    %y = npu_schedule.elementwise add %x, %b zero_points <0, 0, 0> activation <-128, 127> : (!t, !t) -> !t
    func.return %y : !t
  }
}

// -----

// In Dedicated_Sram the operand of the region lies in DRAM. The convolution reads it anew for each 16 of its channels.
// Nothing runs before it, so that the rows had better arrive beside it.
// CHECK-LABEL: @input
// CHECK:      npu_schedule.cascade
// CHECK-NEXT:   [[NEAR:%.*]] = npu_schedule.transfer %x rolling <4> : (tensor<1x16x16x64xi8>) -> tensor<1x16x16x64xi8, #npu.layout<nhwc, fast>>
// CHECK-NEXT:   conv2d [[NEAR]]
module attributes {npu.target = #npu.target<"ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram_384KB">} {
  func.func @input(%x: tensor<1x16x16x64xi8>) -> tensor<1x16x16x256xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<256x1x1x64xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<256xi64>, multiplier = dense<1073741824> : tensor<256xi32>,
      shift = dense<30> : tensor<256xi8>} : !npu_schedule.scales<256>
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x64xi8>, tensor<256x1x1x64xi8>, !npu_schedule.scales<256>) -> tensor<1x16x16x256xi8>
    func.return %y : tensor<1x16x16x256xi8>
  }
}

// -----

// Flash gives a byte a cycle, and windows read each row five times. There is no memory for all of %b, 16 KiB, and nothing
// runs before. So the pool becomes a cascade with its transfer: beside each launch the rows of the next one arrive.
// CHECK-LABEL: @rows
// CHECK:      npu_schedule.cascade
// CHECK-NEXT:   [[NEAR:%.*]] = npu_schedule.transfer %b rolling <8> :
// CHECK-NEXT:   pool max [[NEAR]] window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> stripe <2>
// CMD-LABEL: @rows
// CMD:      npu_cmd.dma {{.*}} size <4096>
// CMD-NEXT: npu_cmd.pool max
// CMD-NEXT: npu_cmd.dma {{.*}} size <2048>
// CMD-NEXT: npu_cmd.pool max
!t = tensor<1x16x16x64xi8>
module attributes {npu.target = #npu.target<"ethos-u55-256", "", "", limit 28000>} {
  func.func @rows() -> !t attributes {npu.region} {
    %b = npu_schedule.constant dense<1> : !t
    %y = npu_schedule.pool max %b window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    func.return %y : !t
  }
}

// -----

// A cascade that reads from flash takes the transfer in as one more stage.
// CHECK-LABEL: @cascaded
// CHECK:      npu_schedule.cascade
// CHECK-NEXT:   [[NEAR:%.*]] = npu_schedule.transfer %b rolling
// CHECK-NEXT:   [[A:%.*]] = npu_schedule.pool max [[NEAR]]
// CHECK-NEXT:   pool max [[A]]
!t = tensor<1x16x16x64xi8>
module attributes {npu.target = #npu.target<"ethos-u55-256", "", "", limit 32000>} {
  func.func @cascaded() -> !t attributes {npu.region} {
    %b = npu_schedule.constant dense<1> : !t
    %y = npu_schedule.cascade -> !t {
      %a = npu_schedule.pool max %b window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> stripe <2>
           rolling <4> : (!t) -> !t
      %c = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> stripe <2>
           : (!t) -> !t
      npu_schedule.yield %c : !t
    }
    func.return %y : !t
  }
}

// -----

// The second pool reads what the first one makes, which lies in DRAM, after both have become cascades.
// CHECK-LABEL: @chain
// CHECK:      [[A:%.*]] = npu_schedule.cascade
// CHECK-NEXT:   npu_schedule.transfer %x rolling <8>
// CHECK:      npu_schedule.cascade
// CHECK-NEXT:   [[NEAR:%.*]] = npu_schedule.transfer [[A]] rolling <8>
// CHECK-NEXT:   pool max [[NEAR]]
!t = tensor<1x16x16x64xi8>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 14000>} {
  func.func @chain(%x: !t) -> !t attributes {npu.region} {
    %a = npu_schedule.pool max %x window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %y = npu_schedule.pool max %a window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    func.return %y : !t
  }
}

// -----

// The convolution reads %z anew for each 16 of its channels; the kernel behind it is told to write over %z where it lies.
// CHECK-LABEL: @overwritten
// CHECK: elementwise max %z, %z {{.*}} in_place <0>
!t = tensor<1x16x16x64xi8>
!o = tensor<1x16x16x256xi8>
module attributes {npu.target = #npu.target<"ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram_384KB">} {
  func.func @overwritten(%x: !t) -> (!o, !t) attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<256x1x1x64xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<256xi64>, multiplier = dense<1073741824> : tensor<256xi32>,
      shift = dense<30> : tensor<256xi8>} : !npu_schedule.scales<256>
    %z = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %c = npu_schedule.conv2d %z, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> : (!t, tensor<256x1x1x64xi8>, !npu_schedule.scales<256>) -> !o
    %y = npu_schedule.elementwise max %z, %z zero_points <0, 0, 0> activation <-128, 127> in_place <0> : (!t, !t) -> !t
    %r = npu_schedule.pool max %y window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    func.return %c, %r : !o, !t
  }
}

// -----

// A hand left the rows between two pools in DRAM. Only what comes from outside of the cascade can be brought.
// CHECK-LABEL: @far_rows
// CHECK:      npu_schedule.cascade
// CHECK-NEXT:   transfer %x rolling
// CHECK-NEXT:   [[A:%.*]] = npu_schedule.pool max
// CHECK-NEXT:   pool max [[A]]
!t = tensor<1x16x16x64xi8>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 60000>} {
  func.func @far_rows(%x: !t) -> !t attributes {npu.region} {
    %y = npu_schedule.cascade -> !t {
      %a = npu_schedule.pool max %x window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> stripe <2>
           rolling <6> : (!t) -> !t
      %c = npu_schedule.pool max %a window <5x5, pad 2 2 2 2> zero_points <0, 0> activation <-128, 127> stripe <2>
           : (!t) -> !t
      npu_schedule.yield %c : !t
    }
    func.return %y : !t
  }
}
