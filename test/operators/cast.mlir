// A cast keeps the integers, whatever the quantisation says.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x8xi8>) -> tensor<1x8xi16>
// CHECK: npu_schedule.pool average {{.*}} zero_points <0, 0> scale <1073741824, shift 30, double_round>
func.func @wider(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8xi16> {
  %y = tfl.cast %x {in_data_type = "INT8", out_data_type = "INT16"} : (tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8xi16>
  func.return %y : tensor<1x8xi16>
}

// -----

// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x8xui8>) -> tensor<1x8xi8>
// CHECK: npu_schedule.constant dense<"0x000101{{(01)*}}"> : tensor<256xi8>
// CHECK: npu_schedule.pool average {{.*}} zero_points <0, -128> {{.*}} activation <table, -128, 127>
func.func @truth(%x: tensor<1x8xui8>) -> tensor<1x8xi1> {
  %y = tfl.cast %x {in_data_type = "UINT8", out_data_type = "BOOL"} : (tensor<1x8xui8>) -> tensor<1x8xi1>
  func.return %y : tensor<1x8xi1>
}

// -----

// The lower half: segments of 128 values of a table of 16 bits, then a copy.
// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x8xi16>) -> tensor<1x8xi8>
// CHECK: npu_schedule.constant {{.*}} : tensor<512xi32>
// CHECK: npu_schedule.pool average {{.*}} activation <table, -32768, 32767> {{.*}} -> tensor<1x1x1x8xi16>
// CHECK: npu_schedule.pool average {{.*}} -> tensor<1x1x1x8xi8>
func.func @narrower(%x: tensor<1x8xi16>) -> tensor<1x8xi8> {
  %y = tfl.cast %x {in_data_type = "INT16", out_data_type = "INT8"} : (tensor<1x8xi16>) -> tensor<1x8xi8>
  func.return %y : tensor<1x8xi8>
}

// -----

// Known not to be beyond 15.
// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x8xi8>) -> tensor<1x8xi16>
// CHECK: npu_schedule.elementwise add {{.*}} -> tensor<1x1x1x8xi32>
// CHECK: npu_schedule.elementwise mul {{.*}} -> tensor<1x1x1x8xi16>
func.func @known(%x: tensor<1x8xi8>) -> tensor<1x8xi16> {
  %0 = tfl.cast %x : (tensor<1x8xi8>) -> tensor<1x8xi32>
  %1 = tfl.pseudo_const dense<1000> : tensor<1xi32>
  %2 = tfl.add %0, %1 : (tensor<1x8xi32>, tensor<1xi32>) -> tensor<1x8xi32>
  %y = tfl.cast %2 : (tensor<1x8xi32>) -> tensor<1x8xi16>
  func.return %y : tensor<1x8xi16>
}

// -----

// CHECK: npu.cpu_reason = "CAST from 32 bits must be of values from -128 to 127, as LiteRT cuts off: tensor
func.func @unknown(%x: tensor<1x8xi32>) -> tensor<1x8xi8> {
  %y = tfl.cast %x : (tensor<1x8xi32>) -> tensor<1x8xi8>
  func.return %y : tensor<1x8xi8>
}

// -----

// CHECK: npu.cpu_reason = "results of plain integers must be known to fit 32 bits, as LiteRT wraps: tensor
func.func @overflow(%x: tensor<1x8xi32>) -> tensor<1x8xi32> {
  %y = tfl.mul %x, %x : (tensor<1x8xi32>, tensor<1x8xi32>) -> tensor<1x8xi32>
  func.return %y : tensor<1x8xi32>
}

// -----

// A scalar is a map of one element.
// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<i8>) -> tensor<i16>
// CHECK: npu_schedule.pool average {{.*}} -> tensor<1x1x1x1xi16>
func.func @scalar(%x: tensor<i8>) -> tensor<i16> {
  %y = tfl.cast %x : (tensor<i8>) -> tensor<i16>
  func.return %y : tensor<i16>
}
