// LiteRT negates stored values as they are, whatever the zero points; -128 stays.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0
// CHECK: dense<"0x807F7E7D{{.*}}8281"> : tensor<256xi8>
// CHECK: tosa.table
func.func @neg(%x: tensor<1x8x!quant.uniform<i8:f32, 1.0:-5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
  %y = tfl.neg %x : (tensor<1x8x!quant.uniform<i8:f32, 1.0:-5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "NEG must be of int8: tensor
func.func @unsigned(%x: tensor<1x8x!quant.uniform<u8:f32, 1.0>>) -> tensor<1x8x!quant.uniform<u8:f32, 1.0>> {
  %y = tfl.neg %x : (tensor<1x8x!quant.uniform<u8:f32, 1.0>>) -> tensor<1x8x!quant.uniform<u8:f32, 1.0>>
  func.return %y : tensor<1x8x!quant.uniform<u8:f32, 1.0>>
}
