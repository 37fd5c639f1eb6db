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
// CHECK-LABEL: @input
// CHECK: [[NEAR:%.*]] = npu_schedule.transfer %x : (tensor<1x16x16x64xi8>) -> tensor<1x16x16x64xi8, #npu.layout<nhwc, fast>>
// CHECK: conv2d [[NEAR]]
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
