// RUN: npu-opt %s -p npu-schedule-select-formats | filecheck %s

// Which feature maps are stored in bricks of 16 channels, and which stay linear.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // What is seen from outside stays linear; between two kernels nobody sees the layout.
  //
  // CHECK-LABEL: @chain
  // CHECK: pool max {{.*}} (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8, #npu.layout<nhcwb16>>
  // CHECK: pool max {{.*}} (tensor<1x16x16x32xi8, #npu.layout<nhcwb16>>) -> tensor<1x16x16x32xi8>
  func.func @chain(%x: tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    func.return %b : tensor<1x16x16x32xi8>
  }

  // Bricks would store 16 channels instead of 4, and would not save a cycle for each byte that they add.
  //
  // CHECK-LABEL: @thin
  // CHECK-NOT: nhcwb16
  func.func @thin(%x: tensor<1x16x16x4xi8>) -> tensor<1x16x16x4xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x4xi8>) -> tensor<1x16x16x4xi8>
    %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x4xi8>) -> tensor<1x16x16x4xi8>
    func.return %b : tensor<1x16x16x4xi8>
  }

  // The operands of a concat lie in its result, so they change with it: 16 channels end at a whole brick. The slice
  // that the last kernel reads starts at one as well.
  //
  // CHECK-LABEL: @joined
  // CHECK: pool max {{.*}} -> tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>
  // CHECK: pool max {{.*}} -> tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>
  // CHECK: concat {{.*}} -> tensor<1x8x8x48xi8, #npu.layout<nhcwb16>>
  // CHECK: slice {{.*}} -> tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>
  func.func @joined(%x: tensor<1x8x8x16xi8>, %y: tensor<1x8x8x32xi8>) -> tensor<1x8x8x32xi8>
      attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %b = npu_schedule.pool max %y window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x32xi8>) -> tensor<1x8x8x32xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x32xi8>) -> tensor<1x8x8x48xi8>
    %d = npu_schedule.slice %c {offsets = #npu.ints<0, 0, 16>, strides = #npu.ints<1, 1, 1>}
         : tensor<1x8x8x48xi8> -> tensor<1x8x8x32xi8>
    %e = npu_schedule.pool max %d window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x32xi8>) -> tensor<1x8x8x32xi8>
    func.return %e : tensor<1x8x8x32xi8>
  }

  // The other way round the second operand would start inside a brick: all three stay linear.
  //
  // CHECK-LABEL: @joined_inside_a_brick
  // CHECK-NOT: nhcwb16
  func.func @joined_inside_a_brick(%x: tensor<1x8x8x24xi8>, %y: tensor<1x8x8x40xi8>) -> tensor<1x8x8x64xi8>
      attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x24xi8>) -> tensor<1x8x8x24xi8>
    %b = npu_schedule.pool max %y window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x40xi8>) -> tensor<1x8x8x40xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
         : (tensor<1x8x8x24xi8>, tensor<1x8x8x40xi8>) -> tensor<1x8x8x64xi8>
    %d = npu_schedule.pool max %c window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x64xi8>) -> tensor<1x8x8x64xi8>
    func.return %d : tensor<1x8x8x64xi8>
  }

  // The bytes of bricks have another order, so nothing that is reshaped lies in them.
  //
  // CHECK-LABEL: @reshaped
  // CHECK-NOT: nhcwb16
  func.func @reshaped(%x: tensor<1x8x8x16xi8>) -> tensor<1x4x16x16xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %b = npu_schedule.reshape %a : tensor<1x8x8x16xi8> -> tensor<1x4x16x16xi8>
    %c = npu_schedule.pool max %b window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x4x16x16xi8>) -> tensor<1x4x16x16xi8>
    func.return %c : tensor<1x4x16x16xi8>
  }
  // A transfer keeps the layout, so what a hand has transferred stays as it is.
  //
  // CHECK-LABEL: @transferred
  // CHECK-NOT: nhcwb16
  func.func @transferred(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %b = npu_schedule.transfer %a : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.pool max %b window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %c : tensor<1x8x8x16xi8>
  }
}
