// Roots are tables: of 8 bits LiteRT computes inverse ones in integers, and cuts others off.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa' --split-input-file | filecheck %s

// Steps of 1/8: 8 / sqrt(1, 2, 3, 4) is 8, 5.7, 4.6, 4. For 0 it is the greatest value.
// CHECK-LABEL: func.func private @npu_0
// CHECK: dense<"0x7F0806050404030303{{.*}}"> : tensor<256xi8>
// CHECK: tosa.table
func.func @rsqrt(%x: tensor<1x8x!quant.uniform<i8:f32, 1.0:-128>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.125>> {
  %y = tfl.rsqrt %x : (tensor<1x8x!quant.uniform<i8:f32, 1.0:-128>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.125>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.125>>
}

// -----

// CHECK-LABEL: func.func private @npu_0
// CHECK: dense<"0x00010101020202020203{{.*}}"> : tensor<256xi8>
func.func @sqrt(%x: tensor<1x8x!quant.uniform<i8:f32, 1.0:-128>>) -> tensor<1x8x!quant.uniform<i8:f32, 1.0>> {
  %y = tfl.sqrt %x : (tensor<1x8x!quant.uniform<i8:f32, 1.0:-128>>) -> tensor<1x8x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x8x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Square roots of 16 bits are cut off one by one: no line from node to node does that.
// CHECK: npu.cpu_reason = "SQRT must be of int8, of 16 bits LiteRT cuts roots off, which no base and slope of a table gives: tensor
func.func @sqrt_16(%x: tensor<1x8x!quant.uniform<i16:f32, 1.0>>) -> tensor<1x8x!quant.uniform<i16:f32, 1.0>> {
  %y = tfl.sqrt %x : (tensor<1x8x!quant.uniform<i16:f32, 1.0>>) -> tensor<1x8x!quant.uniform<i16:f32, 1.0>>
  func.return %y : tensor<1x8x!quant.uniform<i16:f32, 1.0>>
}
