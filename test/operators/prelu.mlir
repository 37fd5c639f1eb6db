// PRELU is the greater of two products, or a sum.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule' --split-input-file | filecheck %s

// With equal quantisation and alphas up to 1 the operand itself is one of them.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[L:.*]] = npu_schedule.elementwise mul {{.*}} zero_points <-3, 0, -3> scale <1342177280, shift 33, double_round>
// CHECK: npu_schedule.elementwise max %{{.*}}, %[[L]]
func.func @greater(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>> {
  %alpha = tfl.pseudo_qconst dense<[1, 6]> : tensor<2xi8> -> tensor<2x!quant.uniform<i8:f32, 0.15625>>
  %y = tfl.prelu %x, %alpha : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2x!quant.uniform<i8:f32, 0.15625>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>
}

// -----

// Alphas on both sides of 1: the operand above its zero point, and the product below it.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[P:.*]] = npu_schedule.pool average {{.*}} activation <-3, 127>
// CHECK: %[[N:.*]] = npu_schedule.pool average {{.*}} activation <-128, -3>
// CHECK: %[[L:.*]] = npu_schedule.elementwise mul %[[N]]
// CHECK: npu_schedule.elementwise add %[[P]], %[[L]] zero_points <-3, -3, -3>
func.func @sum(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>> {
  %alpha = tfl.pseudo_qconst dense<[1, 12]> : tensor<2xi8> -> tensor<2x!quant.uniform<i8:f32, 0.15625>>
  %y = tfl.prelu %x, %alpha : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<2x!quant.uniform<i8:f32, 0.15625>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>
}

// -----

// CHECK: npu.cpu_reason = "PRELU must be of int8 or uint8, of 16 bits LiteRT reads alpha as bytes: tensor
func.func @sixteen(%x: tensor<1x2x!quant.uniform<i16:f32, 0.5>>, %alpha: tensor<2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x2x!quant.uniform<i16:f32, 0.5>> {
  %y = tfl.prelu %x, %alpha : (tensor<1x2x!quant.uniform<i16:f32, 0.5>>, tensor<2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x2x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x2x!quant.uniform<i16:f32, 0.5>>
}
