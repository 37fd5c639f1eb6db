// Softmax of 16 bits: exponentials by one table, the reciprocal of their sum by another. That of 8 bits is in
// test/lowering/convert-tfl-to-npu-schedule.mlir.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-npu-schedule' --split-input-file | filecheck %s

// What has one number a row has the columns of the map of rows as its depth.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.pool max {{.*}} window <1x10>
// CHECK: npu_schedule.elementwise sub {{.*}} -> tensor<1x3x2x10xi32>
// CHECK: npu_schedule.elementwise mul {{.*}} scale <1, shift 30, double_round> {{.*}} -> tensor<1x3x2x10xi32>
// CHECK: %[[E:.*]] = npu_schedule.elementwise add {{.*}} activation <table, -32768, 32767> {{.*}} -> tensor<1x3x2x10xi16>
// CHECK: npu_schedule.pool sum %[[E]] {{.*}} -> tensor<1x3x2x1xi32>
// CHECK: npu_schedule.elementwise clz {{.*}} -> tensor<1x3x1x2xi32>
// CHECK: npu_schedule.elementwise sub {{.*}} activation <table, -32768, 32767> {{.*}} -> tensor<1x3x1x2xi16>
// CHECK: npu_schedule.elementwise mul %[[E]], {{.*}} -> tensor<1x3x2x10xi32>
// CHECK: npu_schedule.elementwise shr {{.*}} activation <0, 32767> {{.*}} -> tensor<1x3x2x10xi16>
func.func @softmax(%x: tensor<3x2x10x!quant.uniform<i16:f32, 0.00030517578>>) -> tensor<3x2x10x!quant.uniform<i16:f32, 3.0517578e-05>> {
  %y = tfl.softmax %x : (tensor<3x2x10x!quant.uniform<i16:f32, 0.00030517578>>) -> tensor<3x2x10x!quant.uniform<i16:f32, 3.0517578e-05>>
  func.return %y : tensor<3x2x10x!quant.uniform<i16:f32, 3.0517578e-05>>
}

// -----

// CHECK: npu.cpu_reason = "SOFTMAX of 16 bits must give a scale of 1/32768: tensor
func.func @scale(%x: tensor<1x10x!quant.uniform<i16:f32, 0.001>>) -> tensor<1x10x!quant.uniform<i16:f32, 0.001>> {
  %y = tfl.softmax %x : (tensor<1x10x!quant.uniform<i16:f32, 0.001>>) -> tensor<1x10x!quant.uniform<i16:f32, 0.001>>
  func.return %y : tensor<1x10x!quant.uniform<i16:f32, 0.001>>
}
