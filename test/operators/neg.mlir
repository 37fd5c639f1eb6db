// LiteRT negates stored values as they are, whatever the zero points; -128 stays.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0
// CHECK: dense<"0x807F7E7D{{.*}}8281"> : tensor<256xi8>
// CHECK: npu_schedule.pool average {{.*}} activation <table, -128, 127>
func.func @neg(%x: tensor<1x8x!quant.uniform<i8:f32, 1.0:-5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
  %y = tfl.neg %x : (tensor<1x8x!quant.uniform<i8:f32, 1.0:-5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// Of 16 bits 0 - x would saturate for the least value: -32768 - x - 32768 does not.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[T:.*]] = npu_schedule.elementwise add {{.*}} activation <table, -1, 0>
// CHECK: %[[S:.*]] = npu_schedule.elementwise sub %[[T]],
// CHECK: npu_schedule.elementwise add %[[S]], %[[T]]
func.func @sixteen(%x: tensor<1x8x!quant.uniform<i16:f32, 1.0>>) -> tensor<1x8x!quant.uniform<i16:f32, 0.5>> {
  %y = tfl.neg %x : (tensor<1x8x!quant.uniform<i16:f32, 1.0>>) -> tensor<1x8x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x8x!quant.uniform<i16:f32, 0.5>>
}

// -----

// CHECK: npu.cpu_reason = "NEG must be of int8 or int16, of other integers of 8 and 16 bits LiteRT has no kernel: tensor
func.func @unsigned(%x: tensor<1x8x!quant.uniform<u8:f32, 1.0>>) -> tensor<1x8x!quant.uniform<u8:f32, 1.0>> {
  %y = tfl.neg %x : (tensor<1x8x!quant.uniform<u8:f32, 1.0>>) -> tensor<1x8x!quant.uniform<u8:f32, 1.0>>
  func.return %y : tensor<1x8x!quant.uniform<u8:f32, 1.0>>
}
