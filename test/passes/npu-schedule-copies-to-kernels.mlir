// RUN: npu-opt %s -p npu-schedule-copies-to-kernels | filecheck %s
// RUN: npu-opt %s -p 'convert-npu-schedule-to-npu-cmd' | filecheck %s --check-prefix=CMD
// RUN: npu-opt %s -p 'npu-schedule-copies-to-kernels,convert-npu-schedule-to-npu-cmd' | filecheck %s --check-prefix=CMD

// Copies into a concat of channels: an average of one element each, and where channels do not fill micro-blocks the maximum
// of each and the least number. The commands are the same as before.
//
// CHECK-LABEL: @joined
// CHECK: %a = npu_schedule.pool average %x window <1x1> zero_points <0, 0> activation <-128, 127>
// CHECK: [[LEAST:%.*]] = npu_schedule.constant dense<-128> : tensor<1x1x1x1xi8>
// CHECK: %b = npu_schedule.elementwise max %y, [[LEAST]] zero_points <0, 0, 0> activation <-128, 127>
// CMD-LABEL: program @joined
// CMD: npu_cmd.pool average ifm {{.*}} window <1x1>
// CMD: npu_cmd.elementwise max {{.*}} scalar <-128, 0>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @joined(%x: tensor<1x8x8x16xi8>, %y: tensor<1x8x8x3xi8>) -> tensor<1x8x8x19xi8> attributes {npu.region} {
    %a = npu_schedule.copy %x : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
    %b = npu_schedule.copy %y : tensor<1x8x8x3xi8> -> tensor<1x8x8x3xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>} : (tensor<1x8x8x16xi8>, tensor<1x8x8x3xi8>) -> tensor<1x8x8x19xi8>
    func.return %c : tensor<1x8x8x19xi8>
  }

  // Below each other no row has both: these stay copies, and so does one of 32 bits and one that reads backwards.
  //
  // CHECK-LABEL: @apart
  // CHECK-COUNT-4: npu_schedule.copy
  // CHECK-NOT: pool
  func.func @apart(%x: tensor<1x8x8x16xi8>, %y: tensor<1x8x8x8xi32>) -> (tensor<1x16x8x16xi8>, tensor<1x8x8x8xi32>)
      attributes {npu.region} {
    %t = npu_schedule.slice %x {offsets = #npu.ints<7, 0, 0>, strides = #npu.ints<-1, 1, 1>} : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
    %a = npu_schedule.copy %x : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
    %b = npu_schedule.copy %t : tensor<1x8x8x16xi8> -> tensor<1x8x8x16xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<1>} : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x16x8x16xi8>
    %p = npu_schedule.slice %y {offsets = #npu.ints<0, 0, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x8x8x8xi32> -> tensor<1x8x4x8xi32>
    %d = npu_schedule.copy %p : tensor<1x8x4x8xi32> -> tensor<1x8x4x8xi32>
    %q = npu_schedule.slice %y {offsets = #npu.ints<0, 4, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x8x8x8xi32> -> tensor<1x8x4x8xi32>
    %e = npu_schedule.copy %q : tensor<1x8x4x8xi32> -> tensor<1x8x4x8xi32>
    %f = npu_schedule.concat %d, %e {axis = #npu.ints<2>} : (tensor<1x8x4x8xi32>, tensor<1x8x4x8xi32>) -> tensor<1x8x8x8xi32>
    func.return %c, %f : tensor<1x16x8x16xi8>, tensor<1x8x8x8xi32>
  }
}
