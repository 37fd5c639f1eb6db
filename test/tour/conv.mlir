// A tour of the compiler: one small network at every level, from TFLite to the words that the NPU reads.
//
// Each RUN line goes one step further along the pipeline of npu-compile; the CHECK lines below it say what to look at.
// Run any of them by hand, without filecheck, to see the whole module. The pipelines, each with those before it:
//
// DEFINE: %{partitioned} = npu-set-target{accelerator="ethos-u55-128"},tfl-partition
// DEFINE: %{tosa} = %{partitioned},convert-tfl-to-tosa
// DEFINE: %{kernels} = %{tosa},convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations
// DEFINE: %{decided} = %{kernels},npu-schedule-select-formats,npu-schedule-select-blocks
// DEFINE: %{commands} = %{decided},convert-npu-schedule-to-npu-cmd,npu-cmd-allocate,npu-cmd-assign-lut-slots,npu-cmd-set-blockdep,npu-cmd-insert-waits
// DEFINE: %{file} = %{commands},convert-npu-cmd-to-tfl

func.func @main(%image: tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:-10>>) -> tensor<1x4x4x16x!quant.uniform<i8:f32, 0.04:-128>> {
  %w = tfl.pseudo_qconst dense<3> : tensor<16x3x3x2xi8> -> tensor<16x3x3x2x!quant.uniform<i8:f32, 0.02>>
  %b = tfl.pseudo_qconst dense<100> : tensor<16xi32> -> tensor<16x!quant.uniform<i32:f32, 0.001>>
  %conv = tfl.conv_2d %image, %w, %b {padding = "SAME", stride_h = 2 : i32, stride_w = 2 : i32, fused_activation_function = "RELU6"}
      : (tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:-10>>, tensor<16x3x3x2x!quant.uniform<i8:f32, 0.02>>, tensor<16x!quant.uniform<i32:f32, 0.001>>)
      -> tensor<1x4x4x16x!quant.uniform<i8:f32, 0.04:-128>>
  %act = tfl.logistic %conv : (tensor<1x4x4x16x!quant.uniform<i8:f32, 0.04:-128>>) -> tensor<1x4x4x16x!quant.uniform<i8:f32, 0.00390625:-128>>
  %back = tfl.quantize %act : (tensor<1x4x4x16x!quant.uniform<i8:f32, 0.00390625:-128>>) -> tensor<1x4x4x16x!quant.uniform<i8:f32, 0.04:-128>>
  func.return %back : tensor<1x4x4x16x!quant.uniform<i8:f32, 0.04:-128>>
}

// 1. Partition. What the NPU can do moves into a function of its own, the host invokes it. Had an operator been refused,
//    it would stay in @main with the reason as an attribute.
//
// RUN: npu-opt %s -p '%{partitioned}' | filecheck %s --check-prefix=PARTITION
// PARTITION-LABEL: func.func @main
// PARTITION:         npu.invoke @npu_0(%image)
// PARTITION-LABEL: func.func private @npu_0
// PARTITION:         tfl.conv_2d

// 2. tosa: integer arithmetic, nothing implied. The padding is numbers, the zero points are operands, and the rescale
//    says how it rounds: TFLite rounds twice in a convolution.
//
// RUN: npu-opt %s -p '%{tosa}' | filecheck %s --check-prefix=TOSA
// TOSA:      tosa.conv2d {{.*}}pad = array<i64: 0, 1, 0, 1>{{.*}} -> tensor<1x4x4x16xi32>
// TOSA:      tosa.rescale {{.*}}rounding_mode = DOUBLE_ROUND
// TOSA:      tosa.clamp {{.*}}max_val = 22 : i8
// TOSA:      tosa.table

// 3. npu_schedule: kernels as the NPU runs them. Scaling, clamp and table have become part of the convolution: one
//    kernel does what five operations said. The rescale of QUANTIZE is a kernel of its own.
//
// RUN: npu-opt %s -p '%{kernels}' | filecheck %s --check-prefix=KERNELS
// KERNELS:     %[[CONV:.*]] = npu_schedule.conv2d
// KERNELS-SAME:  window <3x3, stride 2x2, pad 0 0 1 1>
// KERNELS-SAME:  scale <per_channel, double_round> activation <table, -128, 22>
// KERNELS:     npu_schedule.pool average %[[CONV]] window <1x1>

// 4. Decisions: the feature map between the two kernels goes to bricks of 16 channels, and each kernel gets the block
//    that costs the fewest cycles. The region's own operands and results stay linear, the host reads them.
//
// RUN: npu-opt %s -p '%{decided}' | filecheck %s --check-prefix=DECIDED
// DECIDED: npu_schedule.conv2d {{.*}} block <{{[0-9]+x[0-9]+x16}}> {{.*}} -> tensor<1x4x4x16xi8, #npu.layout<nhcwb16>>
// DECIDED: npu_schedule.pool {{.*}} -> tensor<1x4x4x16xi8>

// 5. npu_cmd: the linear program. Tensors have become buffers that live from `alloc` to `free`; the table travels to SHRAM
//    before the kernel that uses it; then addresses, then the wait that makes the kernel stand back until it is there.
//
// RUN: npu-opt %s -p '%{commands}' | filecheck %s --check-prefix=COMMANDS
// COMMANDS:      %[[X:.*]] = npu_cmd.input index <0> address <{{[0-9]+}}> : !npu.buffer<128, arena>
// COMMANDS:      %[[BETWEEN:.*]] = npu_cmd.alloc address <{{[0-9]+}}> : !npu.buffer<256, arena>
// COMMANDS:      %[[TABLE:.*]] = npu_cmd.alloc address <22528> : !npu.buffer<256, shram>
// COMMANDS-NEXT: npu_cmd.dma from {{.*}} to %[[TABLE]] size <256>
// COMMANDS-NEXT: npu_cmd.wait dma pending <0>
// COMMANDS-NEXT: npu_cmd.conv ifm %[[X]] <8x8x2xi8, nhwc, zero_point -10> ofm %[[BETWEEN]] <4x4x16xi8, nhcwb16, zero_point -128>
// COMMANDS-NEXT: npu_cmd.free %[[TABLE]]
// COMMANDS-NEXT: npu_cmd.pool average ifm %[[BETWEEN]]
// COMMANDS:      npu_cmd.stop

// 6. The file: the region is one `ethos-u` operator, with its command stream as a constant.
//
// RUN: npu-opt %s -p '%{file}' -t tflite -o %t.tflite
// RUN: npu-run %t.tflite
//
// 7. And back: any such file, vela's too, decodes into commands, or prints as words.
//
// RUN: npu-opt %t.tflite | filecheck %s --check-prefix=DECODED
// DECODED: npu_cmd.conv ifm %arena <8x8x2xi8, nhwc, zero_point -10, offset {{[0-9]+}}>
// RUN: npu-opt %t.tflite -t asm | filecheck %s --check-prefix=ASM
// ASM: NPU_SET_IFM_ZERO_POINT
// ASM: NPU_OP_CONV
// ASM: NPU_OP_STOP
