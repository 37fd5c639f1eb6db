// The greatest is a MAX pool, or one of the rows and columns and one of the depth. The least is found by halves.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// CHECK-LABEL: func.func @greatest
// CHECK: %[[M:.*]] = npu_schedule.pool max %x window <4x5> {{.*}} -> tensor<1x1x1x8xi8>
// CHECK: %[[V:.*]] = npu_schedule.reshape %[[M]] : tensor<1x1x1x8xi8> -> tensor<1x1x8x1xi8>
// CHECK: npu_schedule.pool max %[[V]] window <1x8>
func.func @greatest(%x: tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x1x1x1x!quant.uniform<i8:f32, 0.5:-3>> {
  %axes = tfl.pseudo_const dense<[1, 2, 3]> : tensor<3xi32>
  %y = tfl.reduce_max %x, %axes {keep_dims = true} : (tensor<1x4x5x8x!quant.uniform<i8:f32, 0.5:-3>>, tensor<3xi32>) -> tensor<1x1x1x1x!quant.uniform<i8:f32, 0.5:-3>>
  func.return %y : tensor<1x1x1x1x!quant.uniform<i8:f32, 0.5:-3>>
}

// -----

// An odd number of columns has its middle in both halves.
// CHECK-LABEL: func.func @least
// CHECK: npu_schedule.slice %[[X:.*]] {offsets = #npu.ints<0, 0, 0>{{.*}} -> tensor<1x1x3x8xi16>
// CHECK: npu_schedule.slice %[[X]] {offsets = #npu.ints<0, 2, 0>{{.*}} -> tensor<1x1x3x8xi16>
// CHECK: npu_schedule.elementwise min {{.*}} -> tensor<1x1x3x8xi16>
// CHECK: npu_schedule.elementwise min {{.*}} -> tensor<1x1x2x8xi16>
// CHECK: npu_schedule.elementwise min {{.*}} -> tensor<1x1x1x8xi16>
func.func @least(%x: tensor<5x8xi16>) -> tensor<8xi16> {
  %axes = tfl.pseudo_const dense<0> : tensor<1xi32>
  %y = tfl.reduce_min %x, %axes : (tensor<5x8xi16>, tensor<1xi32>) -> tensor<8xi16>
  func.return %y : tensor<8xi16>
}

// -----

// CHECK: 'tfl.reduce_min': the axes must be constant
func.func @of_a_run(%x: tensor<5x8xi16>, %axes: tensor<1xi32>) -> tensor<8xi16> {
  %y = tfl.reduce_min %x, %axes : (tensor<5x8xi16>, tensor<1xi32>) -> tensor<8xi16>
  func.return %y : tensor<8xi16>
}
