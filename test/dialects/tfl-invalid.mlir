// RUN: npu-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: tfl-invalid.mlir:5:3: 'tfl.softmax': operand 'input' at position 0 does not verify
func.func @operand(%x: f32) {
  %0 = tfl.softmax %x : (f32) -> tensor<4xf32>
  return
}

// -----

// CHECK: tfl-invalid.mlir:{{.*}}: 'tfl.max_pool_2d': padding must be one of SAME, VALID, not EVEN
func.func @padding(%x: tensor<1x4x4x1xi8>) {
  %0 = tfl.max_pool_2d %x {padding = "EVEN", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 2 : i32, filter_width = 2 : i32} : (tensor<1x4x4x1xi8>) -> tensor<1x4x4x1xi8>
  return
}

// -----

// CHECK: tfl-invalid.mlir:{{.*}}: 'tfl.max_pool_2d': property 'padding' expected
func.func @missing(%x: tensor<1x4x4x1xi8>) {
  %0 = tfl.max_pool_2d %x : (tensor<1x4x4x1xi8>) -> tensor<1x4x4x1xi8>
  return
}

// -----

// CHECK: 'tfl.pseudo_qconst': the value of tfl.pseudo_qconst has the storage type and shape of the result
func.func @storage() {
  %0 = tfl.pseudo_qconst dense<1> : tensor<4xi8> -> tensor<4x!quant.uniform<u8:f32, 0.5>>
  return
}

// -----

// CHECK: 'tfl.pseudo_const': a constant has the type of its value; a quantised one is tfl.pseudo_qconst
func.func @value() {
  %0 = tfl.pseudo_const dense<1> : tensor<4xi8> -> tensor<4xi16>
  return
}

// -----

// CHECK: 'tfl.pseudo_const': a sparse constant holds its bytes in the file, as #tfl.const_bytes
func.func @sparse() {
  %0 = tfl.pseudo_const {tfl.tensors = [{sparsity = {traversal_order = array<i32: 0>}}]} dense<1> : tensor<4xi16>
  return
}

// -----

// CHECK: tfl-invalid.mlir:{{.*}}: the value of this constant was left out when the file was printed
func.func @elided() {
  %0 = tfl.pseudo_const dense_resource<__elided__> : tensor<400xi8>
  return
}

// -----

// CHECK: tfl-invalid.mlir:{{.*}}: these bytes were left out when the file was printed
func.func @elided_bytes() {
  %0 = tfl.pseudo_const #tfl.const_bytes<__elided__> -> tensor<400xi8>
  return
}
