// Weights that another tool shapes by operations become constants of the shape that is wanted.
// RUN: npu-opt %s -p tosa-fold-constants | filecheck %s

// A fully connected layer as Arm's converter writes it.
// CHECK-LABEL: func.func @reshaped
// CHECK-NOT:     tosa.reshape
// CHECK:         [[W:%.*]] = "tosa.const"() <{values = dense<{{\[\[\[\[}}1, 2, 3{{.*}}> : tensor<2x1x1x3xi8>}>
// CHECK:         tosa.conv2d {{%.*}}, [[W]],
func.func @reshaped(%x: tensor<1x1x1x3xi8>, %b: tensor<2xi32>, %zp: tensor<1xi8>) -> tensor<1x1x1x2xi32> {
  %shape = tosa.const_shape {values = dense<[2, 1, 1, 3]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %w = "tosa.const"() <{values = dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi8>}> : () -> tensor<2x3xi8>
  %r = tosa.reshape %w, %shape : (tensor<2x3xi8>, !tosa.shape<4>) -> tensor<2x1x1x3xi8>
  %y = tosa.conv2d %x, %r, %b, %zp, %zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x3xi8>, tensor<2x1x1x3xi8>, tensor<2xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x2xi32>
  func.return %y : tensor<1x1x1x2xi32>
}

// CHECK-LABEL: func.func @transposed
// CHECK-NEXT:    "tosa.const"() <{values = dense<{{\[\[}}1, 4], [2, 5], [3, 6]]> : tensor<3x2xui8>}>
// CHECK-NEXT:    func.return
func.func @transposed() -> tensor<3x2xui8> {
  %w = "tosa.const"() <{values = dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xui8>}> : () -> tensor<2x3xui8>
  %t = tosa.transpose %w {perms = array<i32: 1, 0>} : (tensor<2x3xui8>) -> tensor<3x2xui8>
  func.return %t : tensor<3x2xui8>
}

// CHECK-LABEL: func.func @moved
// CHECK-NEXT:    "tosa.const"() <{values = dense<{{\[\[}}3, 2, 1, 3], [6, 5, 4, 6]]> : tensor<2x4xi8>}>
// CHECK-NEXT:    func.return
func.func @moved() -> tensor<2x4xi8> {
  %w = "tosa.const"() <{values = dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi8>}> : () -> tensor<2x3xi8>
  %r = tosa.reverse %w {axis = 1 : i32} : (tensor<2x3xi8>) -> tensor<2x3xi8>
  %start = tosa.const_shape {values = dense<[0, 2]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<[2, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %s = tosa.slice %w, %start, %size : (tensor<2x3xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x1xi8>
  %y = tosa.concat %r, %s {axis = 1 : i32} : (tensor<2x3xi8>, tensor<2x1xi8>) -> tensor<2x4xi8>
  func.return %y : tensor<2x4xi8>
}

// What is not constant stays.
// CHECK-LABEL: func.func @variable
// CHECK:         tosa.transpose
func.func @variable(%x: tensor<2x3xi8>) -> tensor<3x2xi8> {
  %t = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<2x3xi8>) -> tensor<3x2xi8>
  func.return %t : tensor<3x2xi8>
}
