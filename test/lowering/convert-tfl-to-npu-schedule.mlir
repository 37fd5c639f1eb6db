// Operators that TOSA would shatter, and the end of quantised types.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule | filecheck %s

// The signature has storage types; a cast that came from tosa is gone.
// CHECK-LABEL: func.func @boundary(%x: tensor<1x2x2x4xi8>) -> tensor<1x2x2x4xi8>
// CHECK-NOT: quant
// CHECK: %[[K:.*]] = npu_schedule.pool max %x
// CHECK-NEXT: func.return %[[K]]
func.func @boundary(%x: tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5:-3>> {
  %0 = quant.scast %x : tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5:-3>> to tensor<1x2x2x4xi8>
  %1 = npu_schedule.pool max %0 window <1x1> zero_points <0, 0> activation <0, 127> : (tensor<1x2x2x4xi8>) -> tensor<1x2x2x4xi8>
  %2 = quant.scast %1 : tensor<1x2x2x4xi8> to tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5:-3>>
  func.return %2 : tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5:-3>>
}

// Softmax: the difference to the greatest goes through a table of 32-bit exponentials, its sum is inverted by three
// Newton steps, and a shift of its own for each row brings the products to 8 bits.
// CHECK-LABEL: func.func @softmax
// CHECK: %[[MAX:.*]] = npu_schedule.pool max {{.*}} window <1x10>
// CHECK: npu_schedule.elementwise sub {{.*}}, %[[MAX]] zero_points <0, 0, 127> operand_scales <both 1 1> scale <1, shift 0, natural> activation <table, -128, 127> table {{.*}} -> tensor<1x2x1x10xi32>
// CHECK: npu_schedule.elementwise shr {{.*}} scale <1, shift 0, natural>
// CHECK: npu_schedule.pool sum
// CHECK-COUNT-11: npu_schedule.elementwise mul
// CHECK: npu_schedule.elementwise shr {{.*}} zero_points <0, 0, -128> scale <1, shift 0, natural> activation <-128, 127>
func.func @softmax(%x: tensor<2x10x!quant.uniform<i8:f32, 0.1:5>>) -> tensor<2x10x!quant.uniform<i8:f32, 0.00390625:-128>> {
  %y = tfl.softmax %x : (tensor<2x10x!quant.uniform<i8:f32, 0.1:5>>) -> tensor<2x10x!quant.uniform<i8:f32, 0.00390625:-128>>
  func.return %y : tensor<2x10x!quant.uniform<i8:f32, 0.00390625:-128>>
}

// 131 is a prime number: rows of a softmax as a rectangle of 130, and one by itself.
// CHECK-LABEL: func.func @prime_rows
// CHECK: npu_schedule.elementwise sub {{.*}} -> tensor<1x13x10x3xi32>
// CHECK: npu_schedule.elementwise sub {{.*}} -> tensor<1x1x1x3xi32>
// CHECK: npu_schedule.concat {{.*}} : (tensor<1x130x1x3xi8>, tensor<1x1x1x3xi8>) -> tensor<1x131x1x3xi8>
func.func @prime_rows(%x: tensor<131x3x!quant.uniform<i8:f32, 0.1:5>>) -> tensor<131x3x!quant.uniform<i8:f32, 0.00390625:-128>> {
  %y = tfl.softmax %x : (tensor<131x3x!quant.uniform<i8:f32, 0.1:5>>) -> tensor<131x3x!quant.uniform<i8:f32, 0.00390625:-128>>
  func.return %y : tensor<131x3x!quant.uniform<i8:f32, 0.00390625:-128>>
}

// 16-bit functions are the NPU's own, whose argument counts in steps of 1 / (3 * 4096).
// CHECK-LABEL: func.func @tanh
// CHECK: npu_schedule.pool average {{.*}} scale <3, shift 0, natural> activation <tanh, -32768, 32767>
func.func @tanh(%x: tensor<1x8x!quant.uniform<i16:f32, 0.00024414063>>) -> tensor<1x8x!quant.uniform<i16:f32, 3.0517578e-05>> {
  %y = tfl.tanh %x : (tensor<1x8x!quant.uniform<i16:f32, 0.00024414063>>) -> tensor<1x8x!quant.uniform<i16:f32, 3.0517578e-05>>
  func.return %y : tensor<1x8x!quant.uniform<i16:f32, 3.0517578e-05>>
}

// 16-bit results of an ordinary scale: 32-bit sums, a quotient that may be one off, and its correction.
// CHECK-LABEL: func.func @fully_connected
// CHECK: %[[SUM:.*]] = npu_schedule.conv2d {{.*}} scale <per_channel, natural> {{.*}} -> tensor<1x1x3x2xi32>
// CHECK: %[[Q:.*]] = npu_schedule.elementwise mul %[[SUM]], {{.*}} scale <1, shift 46, double_round>
// CHECK: %[[OVER:.*]] = npu_schedule.elementwise sub %[[SUM]],
// CHECK: %[[C:.*]] = npu_schedule.elementwise mul {{.*}} scale <1, shift 61, double_round>
// CHECK: npu_schedule.elementwise add %[[Q]], %[[C]] {{.*}} activation <0, 32767> {{.*}} -> tensor<1x1x3x2xi16>
func.func @fully_connected(%x: tensor<3x4x!quant.uniform<i16:f32, 0.31>>) -> tensor<3x2x!quant.uniform<i16:f32, 7.7>> {
  %w = tfl.pseudo_qconst dense<99> : tensor<2x4xi8> -> tensor<2x4x!quant.uniform<i8:f32, 0.0713>>
  %y = tfl.fully_connected %x, %w {fused_activation_function = "RELU"} : (tensor<3x4x!quant.uniform<i16:f32, 0.31>>, tensor<2x4x!quant.uniform<i8:f32, 0.0713>>) -> tensor<3x2x!quant.uniform<i16:f32, 7.7>>
  func.return %y : tensor<3x2x!quant.uniform<i16:f32, 7.7>>
}
