// A cast keeps the integers, whatever the quantisation says.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0(%0: tensor<1x8xi8>) -> tensor<1x8xi16>
// CHECK: npu_schedule.pool average {{.*}} zero_points <0, 0> scale <1073741824, shift 30, double_round>
func.func @wider(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8xi16> {
  %y = tfl.cast %x {in_data_type = "INT8", out_data_type = "INT16"} : (tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8xi16>
  func.return %y : tensor<1x8xi16>
}

// -----

// CHECK-LABEL: func.func private @npu_0(%0: tensor<1x8xui8>) -> tensor<1x8xi8>
// CHECK: npu_schedule.constant dense<"0x000101{{(01)*}}"> : tensor<256xi8>
// CHECK: npu_schedule.pool average {{.*}} zero_points <0, -128> {{.*}} activation <table, -128, 127>
func.func @truth(%x: tensor<1x8xui8>) -> tensor<1x8xi1> {
  %y = tfl.cast %x {in_data_type = "UINT8", out_data_type = "BOOL"} : (tensor<1x8xui8>) -> tensor<1x8xi1>
  func.return %y : tensor<1x8xi1>
}

// -----

// CHECK: npu.cpu_reason = "CAST must not be to fewer bits: the NPU saturates, LiteRT cuts off: tensor
func.func @narrower(%x: tensor<1x8xi16>) -> tensor<1x8xi8> {
  %y = tfl.cast %x {in_data_type = "INT16", out_data_type = "INT8"} : (tensor<1x8xi16>) -> tensor<1x8xi8>
  func.return %y : tensor<1x8xi8>
}
