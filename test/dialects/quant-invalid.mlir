// RUN: npu-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: quant-invalid.mlir:5:3: 'quant.scast': quant.scast keeps shape and storage type
func.func @storage(%0: tensor<4x!quant.uniform<u8:f32, 0.5>>) {
  %1 = quant.scast %0 : tensor<4x!quant.uniform<u8:f32, 0.5>> to tensor<4xi8>
  return
}

// -----

// CHECK: quant-invalid.mlir:13:3: 'quant.scast': quant.scast is between one quantised and one plain tensor
func.func @plain(%0: tensor<4xi8>) {
  %1 = quant.scast %0 : tensor<4xi8> to tensor<4xi8>
  return
}

// -----

// CHECK: quantised scales must be positive, finite float32 values
func.func @scale(%0: tensor<4x!quant.uniform<i8:f32, -0.5>>) {
  return
}

// -----

// CHECK: a zero point must be representable in the storage type
func.func @zero_point(%0: tensor<4x!quant.uniform<i8:f32, 0.5:200>>) {
  return
}

// -----

// CHECK: expected a storage type such as i8 or u8
func.func @storage_type(%0: tensor<4x!quant.uniform<f8:f32, 0.5>>) {
  return
}
