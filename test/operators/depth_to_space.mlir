// Rows of blocks are copied together.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule' --split-input-file | filecheck %s

// Half of the channels at a time, as every second row.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.slice %{{.*}} {offsets = #npu.ints<0, 0, 4>, {{.*}} : tensor<1x3x5x8xi8> -> tensor<1x3x5x4xi8>
// CHECK: npu_schedule.concat {{.*}} {axis = #npu.ints<2>} : (tensor<1x3x1x20xi8>, tensor<1x3x1x20xi8>) -> tensor<1x3x2x20xi8>
// CHECK: npu_schedule.reshape {{.*}} -> tensor<1x6x10x2xi8>
func.func @to_space(%x: tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x6x10x2x!quant.uniform<i8:f32, 0.5:3>> {
  %y = tfl.depth_to_space %x {block_size = 2 : i32} : (tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x6x10x2x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x6x10x2x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// The other way round.
// CHECK-LABEL: func.func private @npu_0
// CHECK: npu_schedule.concat {{.*}} {axis = #npu.ints<3>} : (tensor<1x3x5x4xi8>, tensor<1x3x5x4xi8>) -> tensor<1x3x5x8xi8>
func.func @to_depth(%x: tensor<1x6x10x2x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5:3>> {
  %y = tfl.space_to_depth %x {block_size = 2 : i32} : (tensor<1x6x10x2x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %y : tensor<1x3x5x8x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// CHECK: npu.cpu_reason = "SPACE_TO_DEPTH must be of int8 or uint8 or int32, of other integers of 8 and 16 bits LiteRT has no kernel: tensor '' (1x6x10x2)"
func.func @int16(%x: tensor<1x6x10x2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x3x5x8x!quant.uniform<i16:f32, 0.5>> {
  %y = tfl.space_to_depth %x {block_size = 2 : i32} : (tensor<1x6x10x2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x3x5x8x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x3x5x8x!quant.uniform<i16:f32, 0.5>>
}
