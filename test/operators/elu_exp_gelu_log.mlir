// Functions that LiteRT computes in float32 are tables, which the kernel before looks up where it can.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// exp(-0.5 * 128) is 0, and exp(0.5 * 127) more than there is.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[T:.*]] = npu_schedule.constant dense<{{.*}}> : tensor<256xi8>
// CHECK: npu_schedule.pool max {{.*}} activation <table, -128, 127> table %[[T]]
func.func @elu(%x: tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x8x!quant.uniform<i8:f32, 0.25:-124>> {
  %0 = tfl.max_pool_2d %x {padding = "VALID", stride_h = 2 : i32, stride_w = 2 : i32, filter_height = 2 : i32, filter_width = 2 : i32} : (tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>
  %y = tfl.elu %0 : (tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x8x!quant.uniform<i8:f32, 0.25:-124>>
  func.return %y : tensor<1x2x2x8x!quant.uniform<i8:f32, 0.25:-124>>
}

// -----

// Of 16 bits 512 words: the node in the low half, the step to the next one in the high half.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[T:.*]] = npu_schedule.constant dense<{{.*}}> : tensor<512xi32>
// CHECK: npu_schedule.pool average {{.*}} scale <1, shift 0, natural> activation <table, -32768, 32767> table %[[T]] {{.*}} -> tensor<1x2x3x8xi16>
func.func @log(%x: tensor<2x3x8x!quant.uniform<i16:f32, 0.001>>) -> tensor<2x3x8x!quant.uniform<i16:f32, 0.00025>> {
  %y = tfl.log %x : (tensor<2x3x8x!quant.uniform<i16:f32, 0.001>>) -> tensor<2x3x8x!quant.uniform<i16:f32, 0.00025>>
  func.return %y : tensor<2x3x8x!quant.uniform<i16:f32, 0.00025>>
}

// -----

// exp(0.01 * 32767) is no float32.
// CHECK: npu.cpu_reason = "functions of 16 bits must be finite throughout: tensor
func.func @exp(%x: tensor<8x!quant.uniform<i16:f32, 0.01>>) -> tensor<8x!quant.uniform<i16:f32, 0.01>> {
  %y = tfl.exp %x : (tensor<8x!quant.uniform<i16:f32, 0.01>>) -> tensor<8x!quant.uniform<i16:f32, 0.01>>
  func.return %y : tensor<8x!quant.uniform<i16:f32, 0.01>>
}
