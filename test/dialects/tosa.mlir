// TOSA 1.0 as LLVM 24 prints it is read and printed back the same, in custom and in generic form.
// RUN: npu-opt %s | filecheck %s
// RUN: npu-opt %s --print-op-generic | npu-opt | filecheck %s

// Constants, and the shapes that are operands.
// CHECK-LABEL: func.func @constants
// CHECK: "tosa.const"() <{values = dense<[1, -1]> : tensor<2xi48>}> : () -> tensor<2xi48>
// CHECK: "tosa.const"() <{values = dense<200> : tensor<1xui8>}> : () -> tensor<1xui8>
// CHECK: tosa.const_shape {values = dense<[1, 8]> : tensor<2xindex>} : () -> !tosa.shape<2>
func.func @constants() -> (tensor<2xi48>, tensor<1xui8>, !tosa.shape<2>) {
  %0 = "tosa.const"() <{values = dense<[1, -1]> : tensor<2xi48>}> : () -> tensor<2xi48>
  %1 = "tosa.const"() <{values = dense<200> : tensor<1xui8>}> : () -> tensor<1xui8>
  %2 = tosa.const_shape {values = dense<[1, 8]> : tensor<2xindex>} : () -> !tosa.shape<2>
  func.return %0, %1, %2 : tensor<2xi48>, tensor<1xui8>, !tosa.shape<2>
}

// CHECK-LABEL: func.func @convolutions
// CHECK: tosa.conv2d %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x6xi32>
// CHECK: tosa.conv2d {{.*}} {acc_type = i48, {{.*}} -> tensor<1x1x1x6xi48>
// CHECK: tosa.depthwise_conv2d {{.*}} : (tensor<1x8x8x4xi8>, tensor<3x3x4x2xi8>, tensor<8xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x8xi32>
// CHECK: tosa.transpose_conv2d {{.*}} {acc_type = i32, out_pad = array<i64: -1, 0, -1, 0>, stride = array<i64: 2, 2>} : {{.*}} -> tensor<1x16x16x6xi32>
// CHECK: tosa.matmul {{.*}} : (tensor<1x5x4xi8>, tensor<1x4x3xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x5x3xi32>
func.func @convolutions(%x: tensor<1x8x8x4xi8>, %w: tensor<6x3x3x4xi8>, %b: tensor<6xi32>, %dw: tensor<3x3x4x2xi8>, %db: tensor<8xi32>, %zp: tensor<1xi8>, %x16: tensor<1x1x1x4xi16>, %w16: tensor<6x1x1x4xi8>, %b48: tensor<1xi48>, %zp16: tensor<1xi16>, %m: tensor<1x5x4xi8>, %n: tensor<1x4x3xi8>) -> (tensor<1x4x4x6xi32>, tensor<1x1x1x6xi48>, tensor<1x8x8x8xi32>, tensor<1x16x16x6xi32>, tensor<1x5x3xi32>) {
  %0 = tosa.conv2d %x, %w, %b, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x6xi32>
  %1 = tosa.conv2d %x16, %w16, %b48, %zp16, %zp {acc_type = i48, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x4xi16>, tensor<6x1x1x4xi8>, tensor<1xi48>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x1x1x6xi48>
  %2 = tosa.depthwise_conv2d %x, %dw, %db, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>, tensor<3x3x4x2xi8>, tensor<8xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x8xi32>
  %3 = tosa.transpose_conv2d %x, %w, %b, %zp, %zp {acc_type = i32, out_pad = array<i64: -1, 0, -1, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x6xi32>
  %4 = tosa.matmul %m, %n, %zp, %zp : (tensor<1x5x4xi8>, tensor<1x4x3xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x5x3xi32>
  func.return %0, %1, %2, %3, %4 : tensor<1x4x4x6xi32>, tensor<1x1x1x6xi48>, tensor<1x8x8x8xi32>, tensor<1x16x16x6xi32>, tensor<1x5x3xi32>
}

// CHECK-LABEL: func.func @pools
// CHECK: tosa.max_pool2d %{{.*}} {kernel = array<i64: 2, 2>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8>
// CHECK: tosa.avg_pool2d %{{.*}}, %{{.*}}, %{{.*}} {acc_type = i32, kernel = array<i64: 8, 8>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>}
func.func @pools(%x: tensor<1x8x8x4xi8>, %zp: tensor<1xi8>) -> (tensor<1x8x8x4xi8>, tensor<1x1x1x4xi8>) {
  %0 = tosa.max_pool2d %x {kernel = array<i64: 2, 2>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8>
  %1 = tosa.avg_pool2d %x, %zp, %zp {acc_type = i32, kernel = array<i64: 8, 8>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x4xi8>
  func.return %0, %1 : tensor<1x8x8x4xi8>, tensor<1x1x1x4xi8>
}

// Enumerations are bare words; nan_mode is printed when it is not the default.
// CHECK-LABEL: func.func @scaling
// CHECK: tosa.rescale {{.*}} {input_unsigned = false, output_unsigned = false, per_channel = true, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x4xi32>, tensor<4xi32>, tensor<4xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x4xi8>
// CHECK: tosa.rescale {{.*}} {input_unsigned = true, {{.*}}rounding_mode = SINGLE_ROUND, {{.*}} : (tensor<1x4xui8>, {{.*}}, tensor<1xui8>, tensor<1xi32>) -> tensor<1x4xi32>
// CHECK: tosa.clamp %{{.*}} {max_val = 6 : i8, min_val = -6 : i8} : (tensor<1x4xi8>) -> tensor<1x4xi8>
// CHECK: tosa.clamp {{.*}} {max_val = 1.000000e+00 : f32, min_val = 0.000000e+00 : f32, nan_mode = IGNORE}
// CHECK: tosa.table {{.*}} : (tensor<1x4xi8>, tensor<256xi8>) -> tensor<1x4xi8>
// CHECK: tosa.table {{.*}} : (tensor<1x4xi16>, tensor<513xi16>) -> tensor<1x4xi32>
// CHECK: tosa.cast {{.*}} : (tensor<1x4xi8>) -> tensor<1x4xi32>
// CHECK: tosa.negate {{.*}} : (tensor<1x4xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4xi8>
func.func @scaling(%a: tensor<1x4xi32>, %m: tensor<4xi32>, %s: tensor<4xi8>, %zero: tensor<1xi32>, %zp: tensor<1xi8>, %u: tensor<1x4xui8>, %uzp: tensor<1xui8>, %m1: tensor<1xi32>, %s1: tensor<1xi8>, %t: tensor<256xi8>, %h: tensor<1x4xi16>, %t16: tensor<513xi16>, %f: tensor<1x4xf32>) -> (tensor<1x4xi32>, tensor<1x4xi8>, tensor<1x4xf32>, tensor<1x4xi8>, tensor<1x4xi32>, tensor<1x4xi32>, tensor<1x4xi8>) {
  %y = tosa.rescale %a, %m, %s, %zero, %zp {input_unsigned = false, output_unsigned = false, per_channel = true, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x4xi32>, tensor<4xi32>, tensor<4xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x4xi8>
  %0 = tosa.rescale %u, %m1, %s1, %uzp, %zero {input_unsigned = true, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x4xui8>, tensor<1xi32>, tensor<1xi8>, tensor<1xui8>, tensor<1xi32>) -> tensor<1x4xi32>
  %1 = tosa.clamp %y {max_val = 6 : i8, min_val = -6 : i8} : (tensor<1x4xi8>) -> tensor<1x4xi8>
  %2 = tosa.clamp %f {max_val = 1.0 : f32, min_val = 0.0 : f32, nan_mode = IGNORE} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %3 = tosa.table %1, %t : (tensor<1x4xi8>, tensor<256xi8>) -> tensor<1x4xi8>
  %4 = tosa.table %h, %t16 : (tensor<1x4xi16>, tensor<513xi16>) -> tensor<1x4xi32>
  %5 = tosa.cast %3 : (tensor<1x4xi8>) -> tensor<1x4xi32>
  %6 = tosa.negate %3, %zp, %zp : (tensor<1x4xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4xi8>
  func.return %0, %1, %2, %3, %4, %5, %6 : tensor<1x4xi32>, tensor<1x4xi8>, tensor<1x4xf32>, tensor<1x4xi8>, tensor<1x4xi32>, tensor<1x4xi32>, tensor<1x4xi8>
}

// Operands of one rank broadcast where they have 1.
// CHECK-LABEL: func.func @integers
// CHECK: tosa.add %{{.*}}, %{{.*}} : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
// CHECK: tosa.sub
// CHECK: tosa.mul %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x3xi32>, tensor<1x3xi32>, tensor<1xi8>) -> tensor<2x3xi32>
// CHECK: tosa.minimum
// CHECK: tosa.maximum
// CHECK: tosa.intdiv
// CHECK: tosa.logical_left_shift
// CHECK: tosa.logical_right_shift
// CHECK: tosa.arithmetic_right_shift {{.*}} {round = true}
// CHECK: tosa.bitwise_and
// CHECK: tosa.bitwise_or
// CHECK: tosa.bitwise_xor
// CHECK: tosa.bitwise_not
// CHECK: tosa.abs
// CHECK: tosa.clz
// CHECK: tosa.identity
func.func @integers(%a: tensor<2x3xi32>, %b: tensor<1x3xi32>, %s: tensor<1xi8>) -> tensor<2x3xi32> {
  %0 = tosa.add %a, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %1 = tosa.sub %0, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %2 = tosa.mul %1, %b, %s : (tensor<2x3xi32>, tensor<1x3xi32>, tensor<1xi8>) -> tensor<2x3xi32>
  %3 = tosa.minimum %2, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %4 = tosa.maximum %3, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %5 = tosa.intdiv %4, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %6 = tosa.logical_left_shift %5, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %7 = tosa.logical_right_shift %6, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %8 = tosa.arithmetic_right_shift %7, %b {round = true} : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %9 = tosa.bitwise_and %8, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %10 = tosa.bitwise_or %9, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %11 = tosa.bitwise_xor %10, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  %12 = tosa.bitwise_not %11 : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %13 = tosa.abs %12 : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %14 = tosa.clz %13 : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %15 = tosa.identity %14 : (tensor<2x3xi32>) -> tensor<2x3xi32>
  func.return %15 : tensor<2x3xi32>
}

// CHECK-LABEL: func.func @truth
// CHECK: tosa.equal {{.*}} -> tensor<2x3xi1>
// CHECK: tosa.greater
// CHECK: tosa.greater_equal
// CHECK: tosa.logical_and
// CHECK: tosa.logical_or
// CHECK: tosa.logical_xor
// CHECK: tosa.logical_not
// CHECK: tosa.select {{.*}} : (tensor<2x3xi1>, tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
func.func @truth(%a: tensor<2x3xi32>, %b: tensor<1x3xi32>) -> tensor<2x3xi32> {
  %0 = tosa.equal %a, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi1>
  %1 = tosa.greater %a, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi1>
  %2 = tosa.greater_equal %a, %b : (tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi1>
  %3 = tosa.logical_and %0, %1 : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %4 = tosa.logical_or %3, %2 : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %5 = tosa.logical_xor %4, %2 : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %6 = tosa.logical_not %5 : (tensor<2x3xi1>) -> tensor<2x3xi1>
  %7 = tosa.select %6, %a, %b : (tensor<2x3xi1>, tensor<2x3xi32>, tensor<1x3xi32>) -> tensor<2x3xi32>
  func.return %7 : tensor<2x3xi32>
}

// CHECK-LABEL: func.func @floats
// CHECK: tosa.pow
// CHECK: tosa.ceil
// CHECK: tosa.floor
// CHECK: tosa.exp
// CHECK: tosa.log
// CHECK: tosa.reciprocal
// CHECK: tosa.rsqrt
// CHECK: tosa.sigmoid
// CHECK: tosa.tanh
func.func @floats(%a: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = tosa.pow %a, %a : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = tosa.ceil %0 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %2 = tosa.floor %1 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %3 = tosa.exp %2 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %4 = tosa.log %3 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %5 = tosa.reciprocal %4 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %6 = tosa.rsqrt %5 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %7 = tosa.sigmoid %6 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %8 = tosa.tanh %7 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %8 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @reductions
// CHECK: tosa.reduce_sum %{{.*}} {axis = 1 : i32} : (tensor<2x3xi32>) -> tensor<2x1xi32>
// CHECK: tosa.reduce_max %{{.*}} {axis = 0 : i32} : (tensor<2x3xi32>) -> tensor<1x3xi32>
// CHECK: tosa.reduce_min
// CHECK: tosa.reduce_product
// CHECK: tosa.reduce_all
// CHECK: tosa.reduce_any
// CHECK: tosa.argmax %{{.*}} {axis = 1 : i32} : (tensor<2x3xi32>) -> tensor<2xi32>
func.func @reductions(%a: tensor<2x3xi32>, %p: tensor<2x3xi1>, %f: tensor<2x3xf32>) -> (tensor<2x1xi32>, tensor<1x3xi32>, tensor<1x3xi32>, tensor<2x1xf32>, tensor<2x1xi1>, tensor<2x1xi1>, tensor<2xi32>) {
  %0 = tosa.reduce_sum %a {axis = 1 : i32} : (tensor<2x3xi32>) -> tensor<2x1xi32>
  %1 = tosa.reduce_max %a {axis = 0 : i32} : (tensor<2x3xi32>) -> tensor<1x3xi32>
  %2 = tosa.reduce_min %a {axis = 0 : i32} : (tensor<2x3xi32>) -> tensor<1x3xi32>
  %3 = tosa.reduce_product %f {axis = 1 : i32} : (tensor<2x3xf32>) -> tensor<2x1xf32>
  %4 = tosa.reduce_all %p {axis = 1 : i32} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  %5 = tosa.reduce_any %p {axis = 1 : i32} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  %6 = tosa.argmax %a {axis = 1 : i32} : (tensor<2x3xi32>) -> tensor<2xi32>
  func.return %0, %1, %2, %3, %4, %5, %6 : tensor<2x1xi32>, tensor<1x3xi32>, tensor<1x3xi32>, tensor<2x1xf32>, tensor<2x1xi1>, tensor<2x1xi1>, tensor<2xi32>
}

// Shapes, starts, pads and multiples are operands.
// CHECK-LABEL: func.func @movement
// CHECK: tosa.concat %{{.*}}, %{{.*}} {axis = 1 : i32} : (tensor<2x3xi8>, tensor<2x3xi8>) -> tensor<2x6xi8>
// CHECK: tosa.reshape %{{.*}}, %{{.*}} : (tensor<2x6xi8>, !tosa.shape<2>) -> tensor<3x4xi8>
// CHECK: tosa.slice %{{.*}}, %{{.*}}, %{{.*}} : (tensor<3x4xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x2xi8>
// CHECK: tosa.pad %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x2xi8>, !tosa.shape<4>, tensor<1xi8>) -> tensor<3x2xi8>
// CHECK: tosa.tile %{{.*}}, %{{.*}} : (tensor<3x2xi8>, !tosa.shape<2>) -> tensor<6x4xi8>
// CHECK: tosa.reverse %{{.*}} {axis = 1 : i32}
// CHECK: tosa.transpose %{{.*}} {perms = array<i32: 1, 0>} : (tensor<6x4xi8>) -> tensor<4x6xi8>
// CHECK: tosa.gather
// CHECK: tosa.scatter
// CHECK: tosa.resize %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {mode = BILINEAR} : {{.*}} -> tensor<1x4x4x1xi32>
func.func @movement(%a: tensor<2x3xi8>, %zp: tensor<1xi8>, %v: tensor<1x5x2xi8>, %i: tensor<1x3xi32>, %r: tensor<1x2x2x1xi8>) -> (tensor<4x6xi8>, tensor<1x5x2xi8>, tensor<1x4x4x1xi32>) {
  %s0 = tosa.const_shape {values = dense<[3, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %s1 = tosa.const_shape {values = dense<1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %s2 = tosa.const_shape {values = dense<2> : tensor<2xindex>} : () -> !tosa.shape<2>
  %s3 = tosa.const_shape {values = dense<[1, 0, 0, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %0 = tosa.concat %a, %a {axis = 1 : i32} : (tensor<2x3xi8>, tensor<2x3xi8>) -> tensor<2x6xi8>
  %1 = tosa.reshape %0, %s0 : (tensor<2x6xi8>, !tosa.shape<2>) -> tensor<3x4xi8>
  %2 = tosa.slice %1, %s1, %s2 : (tensor<3x4xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x2xi8>
  %3 = tosa.pad %2, %s3, %zp : (tensor<2x2xi8>, !tosa.shape<4>, tensor<1xi8>) -> tensor<3x2xi8>
  %4 = tosa.tile %3, %s2 : (tensor<3x2xi8>, !tosa.shape<2>) -> tensor<6x4xi8>
  %5 = tosa.reverse %4 {axis = 1 : i32} : (tensor<6x4xi8>) -> tensor<6x4xi8>
  %6 = tosa.transpose %5 {perms = array<i32: 1, 0>} : (tensor<6x4xi8>) -> tensor<4x6xi8>
  %7 = tosa.gather %v, %i : (tensor<1x5x2xi8>, tensor<1x3xi32>) -> tensor<1x3x2xi8>
  %8 = tosa.scatter %v, %i, %7 : (tensor<1x5x2xi8>, tensor<1x3xi32>, tensor<1x3x2xi8>) -> tensor<1x5x2xi8>
  %scale = tosa.const_shape {values = dense<[4, 2, 4, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<0> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<2> : tensor<2xindex>} : () -> !tosa.shape<2>
  %9 = tosa.resize %r, %scale, %offset, %border {mode = BILINEAR} : (tensor<1x2x2x1xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x4x4x1xi32>
  func.return %6, %8, %9 : tensor<4x6xi8>, tensor<1x5x2xi8>, tensor<1x4x4x1xi32>
}
