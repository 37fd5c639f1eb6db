// What TOSA forbids is refused, with the rule in the message.
// RUN: npu-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: tosa.conv2d: the result is 1x5x4x6 but must be 1x4x4x6
func.func @f(%x: tensor<1x8x8x4xi8>, %w: tensor<6x3x3x4xi8>, %b: tensor<6xi32>, %zp: tensor<1xi8>) {
  %0 = tosa.conv2d %x, %w, %b, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x5x4x6xi32>
  func.return
}

// -----

// The last window ends at the edge; a slice has to take off what is left over.
// CHECK: tosa.conv2d: the window does not end at the edge: 5 is not a multiple of stride 2
func.func @f(%x: tensor<1x8x8x4xi8>, %w: tensor<6x3x3x4xi8>, %b: tensor<6xi32>, %zp: tensor<1xi8>) {
  %0 = tosa.conv2d %x, %w, %b, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x3x3x6xi32>
  func.return
}

// -----

// CHECK: tosa.conv2d: acc_type must be i48 for i16
func.func @f(%x: tensor<1x1x1x4xi16>, %w: tensor<6x1x1x4xi8>, %b: tensor<6xi32>, %xzp: tensor<1xi16>, %zp: tensor<1xi8>) {
  %0 = tosa.conv2d %x, %w, %b, %xzp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x4xi16>, tensor<6x1x1x4xi8>, tensor<6xi32>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x1x1x6xi32>
  func.return
}

// -----

// CHECK: tosa.depthwise_conv2d: the depth of input is 4 but must be 3
func.func @f(%x: tensor<1x8x8x4xi8>, %w: tensor<3x3x3x2xi8>, %b: tensor<6xi32>, %zp: tensor<1xi8>) {
  %0 = tosa.depthwise_conv2d %x, %w, %b, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>, tensor<3x3x3x2xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x6xi32>
  func.return
}

// -----

// CHECK: tosa.max_pool2d: pad must be less than the kernel
func.func @f(%x: tensor<1x8x8x4xi8>) {
  %0 = tosa.max_pool2d %x {kernel = array<i64: 2, 2>, pad = array<i64: 2, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>) -> tensor<1x9x7x4xi8>
  func.return
}

// -----

// CHECK: tosa.rescale: DOUBLE_ROUND needs scale32
func.func @f(%x: tensor<4xi48>, %m: tensor<1xi16>, %s: tensor<1xi8>, %zp: tensor<1xi48>, %yzp: tensor<1xi16>) {
  %0 = tosa.rescale %x, %m, %s, %zp, %yzp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = false} : (tensor<4xi48>, tensor<1xi16>, tensor<1xi8>, tensor<1xi48>, tensor<1xi16>) -> tensor<4xi16>
  func.return
}

// -----

// CHECK: tosa.rescale: multiplier is 3 but must be 4
func.func @f(%x: tensor<2x4xi32>, %m: tensor<3xi32>, %s: tensor<3xi8>, %zp: tensor<1xi32>, %yzp: tensor<1xi8>) {
  %0 = tosa.rescale %x, %m, %s, %zp, %yzp {input_unsigned = false, output_unsigned = false, per_channel = true, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<2x4xi32>, tensor<3xi32>, tensor<3xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<2x4xi8>
  func.return
}

// -----

// CHECK: tosa.rescale: input_unsigned must be true for ui8
func.func @f(%x: tensor<4xui8>, %m: tensor<1xi32>, %s: tensor<1xi8>, %zp: tensor<1xui8>, %yzp: tensor<1xi8>) {
  %0 = tosa.rescale %x, %m, %s, %zp, %yzp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<4xui8>, tensor<1xi32>, tensor<1xi8>, tensor<1xui8>, tensor<1xi8>) -> tensor<4xi8>
  func.return
}

// -----

// CHECK: tosa.rescale: input_zp must be 0 for i32
func.func @f(%x: tensor<4xi32>, %m: tensor<1xi32>, %s: tensor<1xi8>, %yzp: tensor<1xi8>) {
  %zp = "tosa.const"() <{values = dense<1> : tensor<1xi32>}> : () -> tensor<1xi32>
  %0 = tosa.rescale %x, %m, %s, %zp, %yzp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<4xi8>
  func.return
}

// -----

// CHECK: rounding_mode must be one of SINGLE_ROUND, INEXACT_ROUND, DOUBLE_ROUND
func.func @f(%x: tensor<4xi32>, %m: tensor<1xi32>, %s: tensor<1xi8>, %zp: tensor<1xi32>, %yzp: tensor<1xi8>) {
  %0 = tosa.rescale %x, %m, %s, %zp, %yzp {rounding_mode = UP} : (tensor<4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<4xi8>
  func.return
}

// -----

// CHECK: tosa.add: an operand of shape 2 does not broadcast to 2x3
func.func @f(%a: tensor<2x3xi32>, %b: tensor<2xi32>) {
  %0 = tosa.add %a, %b : (tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x3xi32>
  func.return
}

// -----

// CHECK: tosa.mul: the result holds i8 but must hold i32
func.func @f(%a: tensor<2x3xi8>, %s: tensor<1xi8>) {
  %0 = tosa.mul %a, %a, %s : (tensor<2x3xi8>, tensor<2x3xi8>, tensor<1xi8>) -> tensor<2x3xi8>
  func.return
}

// -----

// CHECK: tosa.clamp: min_val is greater than max_val
func.func @f(%a: tensor<2xi8>) {
  %0 = tosa.clamp %a {max_val = 1 : i8, min_val = 2 : i8} : (tensor<2xi8>) -> tensor<2xi8>
  func.return
}

// -----

// CHECK: tosa.reshape: 2x3 cannot become 4x2
func.func @f(%a: tensor<2x3xi8>, %s: !tosa.shape<2>) {
  %0 = tosa.reshape %a, %s : (tensor<2x3xi8>, !tosa.shape<2>) -> tensor<4x2xi8>
  func.return
}

// -----

// CHECK: tosa.slice: 2 elements from 2 on are not inside dimension 0 of 3
func.func @f(%a: tensor<3xi8>) {
  %s = tosa.const_shape {values = dense<2> : tensor<1xindex>} : () -> !tosa.shape<1>
  %0 = tosa.slice %a, %s, %s : (tensor<3xi8>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<2xi8>
  func.return
}

// -----

// CHECK: tosa.concat: the result has 5 but must have 6
func.func @f(%a: tensor<3xi8>) {
  %0 = tosa.concat %a, %a {axis = 0 : i32} : (tensor<3xi8>, tensor<3xi8>) -> tensor<5xi8>
  func.return
}

// -----

// CHECK: tosa.table: the table is 255 but must be 256
func.func @f(%a: tensor<3xi8>, %t: tensor<255xi8>) {
  %0 = tosa.table %a, %t : (tensor<3xi8>, tensor<255xi8>) -> tensor<3xi8>
  func.return
}

// -----

// CHECK: tosa.transpose: perms must be a permutation of rank 2
func.func @f(%a: tensor<3x4xi8>) {
  %0 = tosa.transpose %a {perms = array<i32: 1, 1>} : (tensor<3x4xi8>) -> tensor<4x4xi8>
  func.return
}
