// RUN: npu-opt %s -p 'flat-blocks{width=4},npu-schedule-select-blocks' | filecheck %s

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @pools(%x: tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8> attributes {npu.region} {
    // CHECK: pool max {{.*}} block <1x4x16> :
    %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8>

    // A decision that stands in the IR already stays.
    // CHECK: pool max {{.*}} block <1x2x16> :
    %b = npu_schedule.pool max %a window <1x1> zero_points <0, 0> activation <-128, 127> block <1x2x16>
         : (tensor<1x32x32x16xi8>) -> tensor<1x32x32x16xi8>
    func.return %b : tensor<1x32x32x16xi8>
  }
}
