// AND is the lesser of 0 and 1, OR the greater, NOT a table that the kernel before looks up.
// RUN: npu-opt %s -p 'tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations' --split-input-file | filecheck %s

// CHECK-LABEL: func.func private @npu_0(%{{.*}}: tensor<1x8xi8>, %{{.*}}: tensor<1x8xi8>) -> tensor<1x8xi8>
// CHECK: %[[A:.*]] = npu_schedule.elementwise min %{{.*}}, %{{.*}} zero_points <0, 0, 0> activation <-128, 127>
// CHECK: npu_schedule.elementwise max %[[A]], {{.*}} activation <table, -128, 127>
func.func @logical(%x: tensor<1x8xi1>, %w: tensor<1x8xi1>) -> tensor<1x8xi1> {
  %0 = tfl.logical_and %x, %w : (tensor<1x8xi1>, tensor<1x8xi1>) -> tensor<1x8xi1>
  %1 = tfl.logical_or %0, %x : (tensor<1x8xi1>, tensor<1x8xi1>) -> tensor<1x8xi1>
  %y = tfl.logical_not %1 : (tensor<1x8xi1>) -> tensor<1x8xi1>
  func.return %y : tensor<1x8xi1>
}

// -----

// CHECK: npu.cpu_reason = "LOGICAL_NOT must be of bool: tensor
func.func @integer(%x: tensor<1x8xi8>) -> tensor<1x8xi8> {
  %y = tfl.logical_not %x : (tensor<1x8xi8>) -> tensor<1x8xi8>
  func.return %y : tensor<1x8xi8>
}
