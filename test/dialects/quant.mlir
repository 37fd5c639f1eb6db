// RUN: npu-opt %s --split-input-file | npu-opt --split-input-file | filecheck %s
// RUN: npu-opt %s --split-input-file --print-op-generic | npu-opt --split-input-file | filecheck %s

// CHECK-LABEL: func.func @types
// CHECK-SAME: tensor<4x!quant.uniform<i8:f32, 0.0235:-128>>
// CHECK-SAME: tensor<4x!quant.uniform<u8:f32, 0.0078125:128>>
// A zero point of 0 is not printed, as upstream; nor is a trailing zero.
// CHECK-SAME: tensor<4x!quant.uniform<i16:f32, 3.0e-05>>
// CHECK-SAME: tensor<4x!quant.uniform<i8<-127:127>:f32, 0.1>>
// CHECK-SAME: tensor<2x3x!quant.uniform<i8:f32:1, {0.25, 0.5:-1, 2.0}>>
// CHECK-SAME: tensor<2x!quant.uniform<i64:f32, 1.0e-09>>
func.func @types(
    %0: tensor<4x!quant.uniform<i8:f32, 0.0235:-128>>,
    %1: tensor<4x!quant.uniform<u8:f32, 7.8125e-03:128>>,
    %2: tensor<4x!quant.uniform<i16:f32, 3.0e-5:0>>,
    %3: tensor<4x!quant.uniform<i8<-127:127>:f32, 0.1>>,
    %4: tensor<2x3x!quant.uniform<i8:f32:1, {0.250, 0.5:-1, 2.0}>>,
    %5: tensor<2x!quant.uniform<i64:f32, 0.000000001>>) {
  return
}

// -----

// Scales are float32: whatever digits come in, as few go out as give the same float32 again.

// CHECK-LABEL: func.func @scales
// CHECK-SAME: !quant.uniform<i8:f32, 0.1>
// CHECK-SAME: !quant.uniform<i8:f32, 0.33333334>
// CHECK-SAME: !quant.uniform<i8:f32, 1.0e-45>
// CHECK-SAME: !quant.uniform<i8:f32, 3.4028235e+38>
func.func @scales(
    %0: tensor<4x!quant.uniform<i8:f32, 0.100000001490116>>,
    %1: tensor<4x!quant.uniform<i8:f32, 0.333333333333333>>,
    %2: tensor<4x!quant.uniform<i8:f32, 1.401298464e-45>>,
    %3: tensor<4x!quant.uniform<i8:f32, 3.40282346638528859e+38>>) {
  return
}

// -----

// CHECK-LABEL: func.func @scast
// CHECK: quant.scast %{{.*}} : tensor<4x!quant.uniform<u8:f32, 0.5>> to tensor<4xui8>
// CHECK: quant.scast %{{.*}} : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
func.func @scast(%0: tensor<4x!quant.uniform<u8:f32, 0.5>>) -> tensor<4x!quant.uniform<u8:f32, 0.5>> {
  %1 = quant.scast %0 : tensor<4x!quant.uniform<u8:f32, 0.5>> to tensor<4xui8>
  %2 = quant.scast %1 : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
  return %2 : tensor<4x!quant.uniform<u8:f32, 0.5>>
}
