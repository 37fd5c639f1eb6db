// A pad with the zero point becomes padding of the convolution that reads it.
// RUN: npu-opt %s -p tosa-fold-pad | filecheck %s

// One row and column before and after, as frameworks write "same" padding before a convolution without any.
// CHECK-LABEL: func.func @folded
// CHECK-NOT:     tosa.pad
// CHECK:         tosa.conv2d %x, {{.*}}pad = array<i64: 1, 1, 1, 1>
func.func @folded(%x: tensor<1x6x6x2xi8>, %w: tensor<4x3x3x2xi8>, %b: tensor<4xi32>) -> tensor<1x6x6x4xi32> {
  %counts = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %zp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %padded = tosa.pad %x, %counts, %zp : (tensor<1x6x6x2xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x8x8x2xi8>
  %y = tosa.conv2d %padded, %w, %b, %zp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x2xi8>, tensor<4x3x3x2xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x6x6x4xi32>
  func.return %y : tensor<1x6x6x4xi32>
}

// With stride 2 the last padded row is not read; the trim that says so takes it from the padding at the bottom.
// CHECK-LABEL: func.func @trimmed
// CHECK-NOT:     tosa.slice
// CHECK:         tosa.depthwise_conv2d %x, {{.*}}pad = array<i64: 1, 0, 1, 0>
func.func @trimmed(%x: tensor<1x6x6x2xi8>, %w: tensor<3x3x2x1xi8>, %b: tensor<2xi32>) -> tensor<1x3x3x2xi32> {
  %counts = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %start = tosa.const_shape {values = dense<0> : tensor<4xindex>} : () -> !tosa.shape<4>
  %size = tosa.const_shape {values = dense<[1, 7, 7, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %zp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %padded = tosa.pad %x, %counts, %zp : (tensor<1x6x6x2xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x8x8x2xi8>
  %part = tosa.slice %padded, %start, %size : (tensor<1x8x8x2xi8>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x7x7x2xi8>
  %y = tosa.depthwise_conv2d %part, %w, %b, %zp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x7x7x2xi8>, tensor<3x3x2x1xi8>, tensor<2xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x3x3x2xi32>
  func.return %y : tensor<1x3x3x2xi32>
}

// Padding of another value than the zero point is not what the NPU pads with.
// CHECK-LABEL: func.func @other_value
// CHECK:         tosa.pad
func.func @other_value(%x: tensor<1x6x6x2xi8>, %w: tensor<4x3x3x2xi8>, %b: tensor<4xi32>) -> tensor<1x6x6x4xi32> {
  %counts = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %value = "tosa.const"() <{values = dense<7> : tensor<1xi8>}> : () -> tensor<1xi8>
  %zp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %padded = tosa.pad %x, %counts, %value : (tensor<1x6x6x2xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x8x8x2xi8>
  %y = tosa.conv2d %padded, %w, %b, %zp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x2xi8>, tensor<4x3x3x2xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x6x6x4xi32>
  func.return %y : tensor<1x6x6x4xi32>
}

// A 1x1 kernel would have windows of nothing but padding; padded channels are no padding of a convolution either.
// CHECK-LABEL: func.func @too_much
// CHECK:         tosa.pad
// CHECK:         tosa.pad
func.func @too_much(%x: tensor<1x6x6x2xi8>, %w: tensor<4x1x1x4xi8>, %b: tensor<4xi32>) -> tensor<1x8x8x4xi32> {
  %rows = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %channels = tosa.const_shape {values = dense<[0, 0, 0, 0, 0, 0, 1, 1]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %zp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %deep = tosa.pad %x, %channels, %zp : (tensor<1x6x6x2xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x6x6x4xi8>
  %padded = tosa.pad %deep, %rows, %zp : (tensor<1x6x6x4xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x8x8x4xi8>
  %y = tosa.conv2d %padded, %w, %b, %zp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x4xi8>, tensor<4x1x1x4xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x4xi32>
  func.return %y : tensor<1x8x8x4xi32>
}

// Another reader keeps the pad; the convolution does without it all the same.
// CHECK-LABEL: func.func @shared
// CHECK:         tosa.pad
// CHECK:         tosa.conv2d %x, {{.*}}pad = array<i64: 1, 1, 1, 1>
func.func @shared(%x: tensor<1x6x6x2xi8>, %w: tensor<4x3x3x2xi8>, %b: tensor<4xi32>) -> (tensor<1x8x8x2xi8>, tensor<1x6x6x4xi32>) {
  %counts = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %zp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %padded = tosa.pad %x, %counts, %zp : (tensor<1x6x6x2xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x8x8x2xi8>
  %y = tosa.conv2d %padded, %w, %b, %zp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x2xi8>, tensor<4x3x3x2xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x6x6x4xi32>
  func.return %padded, %y : tensor<1x8x8x2xi8>, tensor<1x6x6x4xi32>
}
