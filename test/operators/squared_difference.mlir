// Squares of differences are a table of 16 bits, if operands have one scale.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// The difference of stored values times 128 has no bits to interpolate with.
// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[S:.*]] = npu_schedule.elementwise sub {{.*}} zero_points <0, 0, 0> operand_scales <ifm 1073741824, shift 11> scale <1073741824, shift 42, double_round> activation <table, -32768, 32767> {{.*}} -> tensor<1x4x4x2xi16>
// CHECK: npu_schedule.pool average %[[S]] {{.*}} zero_points <0, -100> scale <1073741824, shift 30, double_round> {{.*}} -> tensor<1x4x4x2xi8>
func.func @equal(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, %w: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:7>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>> {
  %y = tfl.squared_difference %x, %w : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:7>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>>
}

// -----

// CHECK-LABEL: func.func private @npu_0
// CHECK: %[[D:.*]] = npu_schedule.elementwise sub {{.*}} -> tensor<1x4x4x2xi32>
// CHECK: npu_schedule.elementwise mul %[[D]], %[[D]]
// CHECK: npu_schedule.elementwise mul {{.*}} -> tensor<1x4x4x2xi8>
func.func @unlike(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, %w: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.3:7>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>> {
  %y = tfl.squared_difference %x, %w : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:-3>>, tensor<1x4x4x2x!quant.uniform<i8:f32, 0.3:7>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 4.0:-100>>
}

// -----

// CHECK: npu.cpu_reason = "the result's scale must be above 2^-12 times the square of the greater one's: tensor
func.func @fine(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x!quant.uniform<i8:f32, 0.00001>> {
  %y = tfl.squared_difference %x, %x : (tensor<1x2x!quant.uniform<i8:f32, 0.5>>, tensor<1x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x!quant.uniform<i8:f32, 0.00001>>
  func.return %y : tensor<1x2x!quant.uniform<i8:f32, 0.00001>>
}
