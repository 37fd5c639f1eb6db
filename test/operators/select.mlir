// What is not selected is bounded to the least value, and the greater is taken.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[M:.*]] = npu_schedule.pool average {{.*}} activation <table, -128, 127>
// CHECK: %[[A:.*]] = npu_schedule.elementwise min {{.*}}, %[[M]]
// CHECK: %[[N:.*]] = npu_schedule.pool average {{.*}} activation <table, -128, 127>
// CHECK: %[[B:.*]] = npu_schedule.elementwise min {{.*}}, %[[N]]
// CHECK: npu_schedule.elementwise max %[[A]], %[[B]]
func.func @bytes(%c: tensor<1x4x1xi1>, %x: tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>, %w: tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>> {
  %y = tfl.select_v2 %c, %x, %w : (tensor<1x4x1xi1>, tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>
  func.return %y : tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>
}

// -----

// Of 16 bits 1 is a node of the table that is far enough from that of 0.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.pool average {{.*}} scale <2130706432, shift 16, double_round> activation <table, -32768, 32767> {{.*}} -> tensor<1x1x4x2xi16>
func.func @sixteen(%c: tensor<1x4x2xi1>, %x: tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>, %w: tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x4x2x!quant.uniform<i16:f32, 0.5>> {
  %y = tfl.select_v2 %c, %x, %w : (tensor<1x4x2xi1>, tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>, tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x4x2x!quant.uniform<i16:f32, 0.5>>
}

// -----

// CHECK: npu.cpu_reason = "operands of SELECT must have one shape: tensor
func.func @vector(%c: tensor<4xi1>, %x: tensor<4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x2x!quant.uniform<i8:f32, 0.5>> {
  %y = tfl.select %c, %x, %x : (tensor<4xi1>, tensor<4x2x!quant.uniform<i8:f32, 0.5>>, tensor<4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x2x!quant.uniform<i8:f32, 0.5>>
}
