// A comparison is a table of the difference, which saturates and keeps its sign. Truth values are bytes of 0 and 1.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x4x2xi8>, %{{.*}}: tensor<1x4x2xi8>) -> tensor<1x4x2xi8>
// CHECK: npu_schedule.elementwise sub {{.*}} zero_points <-3, 7, 0> {{.*}} activation <table, -128, 127>
func.func @less(%x: tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>, %w: tensor<1x4x2x!quant.uniform<i8:f32, 0.5:7>>) -> tensor<1x4x2xi1> {
  %y = tfl.less %x, %w : (tensor<1x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<1x4x2x!quant.uniform<i8:f32, 0.5:7>>) -> tensor<1x4x2xi1>
  func.return %y : tensor<1x4x2xi1>
}

// -----

// 0.25 * 12 is the first that is greater than 2.9.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.constant dense<"0x{{(00)*(01)*}}"> : tensor<256xi8>
// CHECK: npu_schedule.pool average {{.*}} activation <table, -128, 127>
func.func @one_number(%x: tensor<1x4x2x!quant.uniform<i8:f32, 0.25>>) -> tensor<1x4x2xi1> {
  %w = tfl.pseudo_qconst dense<29> : tensor<1xi8> -> tensor<1x!quant.uniform<i8:f32, 0.1>>
  %y = tfl.greater %x, %w : (tensor<1x4x2x!quant.uniform<i8:f32, 0.25>>, tensor<1x!quant.uniform<i8:f32, 0.1>>) -> tensor<1x4x2xi1>
  func.return %y : tensor<1x4x2xi1>
}

// -----

// CHECK: npu.cpu_reason = "scales must be below 1: tensor
func.func @coarse(%x: tensor<1x4x2x!quant.uniform<i8:f32, 1.0>>) -> tensor<1x4x2xi1> {
  %y = tfl.equal %x, %x : (tensor<1x4x2x!quant.uniform<i8:f32, 1.0>>, tensor<1x4x2x!quant.uniform<i8:f32, 1.0>>) -> tensor<1x4x2xi1>
  func.return %y : tensor<1x4x2xi1>
}
