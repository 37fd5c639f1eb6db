// The greatest is a MAX pool, or one of the rows and columns and one of the depth. The least is turned round twice.
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

// Of 16 bits the table has a base for every 128 values, of which each takes off how far into them it is.
// CHECK-LABEL: func.func @least
// CHECK: %[[T:.*]] = npu_schedule.constant dense<{{.*}}> : tensor<512xi32>
// CHECK: %[[R:.*]] = npu_schedule.pool average {{.*}} activation <table, -32768, 32767> table %[[T]] : (tensor<1x1x4x8xi16>
// CHECK: npu_schedule.pool max %[[R]] window <1x4> {{.*}} activation <table, -32768, 32767> table %[[T]] : {{.*}} -> tensor<1x1x1x8xi16>
func.func @least(%x: tensor<4x8xi16>) -> tensor<8xi16> {
  %axes = tfl.pseudo_const dense<0> : tensor<1xi32>
  %y = tfl.reduce_min %x, %axes : (tensor<4x8xi16>, tensor<1xi32>) -> tensor<8xi16>
  func.return %y : tensor<8xi16>
}

// -----

// CHECK: 'tfl.reduce_min': the axes must be constant
func.func @of_a_run(%x: tensor<4x8xi16>, %axes: tensor<1xi32>) -> tensor<8xi16> {
  %y = tfl.reduce_min %x, %axes : (tensor<4x8xi16>, tensor<1xi32>) -> tensor<8xi16>
  func.return %y : tensor<8xi16>
}
