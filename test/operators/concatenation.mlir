// CONCATENATION of operands with other scales, as LiteRT has it: bytes without a sign are rescaled, 16 bits copied. Half
// of an odd number is a tie, which LiteRT rounds away from zero: a table.
// RUN: npu-opt %s -p tfl-partition,convert-tfl-to-tosa --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[A:.*]] = tosa.table
// CHECK: tosa.concat {{.*}}%[[A]]
func.func @bytes(%x: tensor<1x8x!quant.uniform<u8:f32, 0.25:3>>, %z: tensor<1x8x!quant.uniform<u8:f32, 0.5:128>>) -> tensor<1x16x!quant.uniform<u8:f32, 0.5:128>> {
  %y = tfl.concatenation %x, %z {axis = 1 : i32} : (tensor<1x8x!quant.uniform<u8:f32, 0.25:3>>, tensor<1x8x!quant.uniform<u8:f32, 0.5:128>>) -> tensor<1x16x!quant.uniform<u8:f32, 0.5:128>>
  func.return %y : tensor<1x16x!quant.uniform<u8:f32, 0.5:128>>
}

// -----

// CHECK-LABEL: func.func private @npu_0
// CHECK-NOT: tosa.table
// CHECK: tosa.concat
func.func @words(%x: tensor<1x8x!quant.uniform<i16:f32, 0.25>>, %z: tensor<1x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x16x!quant.uniform<i16:f32, 0.5>> {
  %y = tfl.concatenation %x, %z {axis = 1 : i32} : (tensor<1x8x!quant.uniform<i16:f32, 0.25>>, tensor<1x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x16x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x16x!quant.uniform<i16:f32, 0.5>>
}

// -----

// CHECK: npu.cpu_reason = "CONCATENATION must have operands of its result's quantisation: tensor
func.func @signed(%x: tensor<1x8x!quant.uniform<i8:f32, 0.25>>, %z: tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x16x!quant.uniform<i8:f32, 0.5>> {
  %y = tfl.concatenation %x, %z {axis = 1 : i32} : (tensor<1x8x!quant.uniform<i8:f32, 0.25>>, tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x16x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x16x!quant.uniform<i8:f32, 0.5>>
}
