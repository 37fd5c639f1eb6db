// RUN: npu-opt %s -p npu-schedule-reuse-ifm --split-input-file | filecheck %s
// RUN: npu-opt %s -p npu-schedule-reuse-ifm,convert-npu-schedule-to-npu-cmd --split-input-file | filecheck %s --check-prefix=CMD

// The sum of two branches takes the place of the first branch: that has been read for the last time.
//
// CHECK-LABEL: @residual
// CHECK: add %b, %c {{.*}} in_place <0> :
//
// Two buffers are then enough, where three tensors were: the result's, in which %b lies as well, and that of %c.
// CMD-LABEL: npu_cmd.program @residual
// CMD: [[Y:%[0-9]+]] = npu_cmd.output index <0>
// CMD: pool {{.*}} ofm [[Y]]
// CMD: [[C:%[0-9]+]] = npu_cmd.alloc
// CMD: pool {{.*}} ofm [[C]]
// CMD-NOT: alloc
// CMD: elementwise add ifm [[Y]] {{.*}} ofm [[Y]] {{.*}} ifm2 [[C]]
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @residual(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %b = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %d = npu_schedule.elementwise add %b, %c zero_points <0, 0, 0> operand_scales <both 1 1>
         scale <1, shift 1, double_round> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %d : tensor<1x8x8x16xi8>
  }
}

// -----

// %b is read again through a slice, so it has to stay. The argument belongs to the caller and is not overwritten.
//
// CHECK-LABEL: @read_later
// CHECK-NOT: in_place
// CMD-LABEL: npu_cmd.program @read_later
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @read_later(%x: tensor<1x8x8x16xi8>) -> (tensor<1x8x8x16xi8>, tensor<1x4x8x16xi8>)
      attributes {npu.region} {
    %b = npu_schedule.elementwise abs %x zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.elementwise abs %b zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %s = npu_schedule.slice %b {offsets = #npu.ints<4, 0, 0>, strides = #npu.ints<1, 1, 1>}
         : tensor<1x8x8x16xi8> -> tensor<1x4x8x16xi8>
    %d = npu_schedule.copy %s : tensor<1x4x8x16xi8> -> tensor<1x4x8x16xi8>
    func.return %c, %d : tensor<1x8x8x16xi8>, tensor<1x4x8x16xi8>
  }
}

// -----

// The largest of each column is subtracted from all rows: IFM2 is smaller than the OFM, so only the IFM can give its place.
//
// CHECK-LABEL: @broadcast
// CHECK: sub %b, %c {{.*}} in_place <0> :
// CMD-LABEL: npu_cmd.program @broadcast
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @broadcast(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %b = npu_schedule.elementwise abs %x zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.pool max %b window <8x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x1x8x16xi8>
    %d = npu_schedule.elementwise sub %b, %c zero_points <0, 0, 0> operand_scales <both 1 1>
         scale <1, shift 1, double_round> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x1x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %d : tensor<1x8x8x16xi8>
  }
}

// -----

// The kernel itself reads row 3 of %b again for every row: written over %b, its first rows would be gone when later
// blocks read them. Read twice under one mapping, a block is done with what it overwrites.
//
// CHECK-LABEL: @reads_its_own_row
// CHECK: add %b, %s
// CHECK-NOT: in_place
// CHECK-LABEL: @reads_the_same_twice
// CHECK: add %b, %b {{.*}} in_place <0> :
// CMD-LABEL: npu_cmd.program @reads_its_own_row
// CMD-LABEL: npu_cmd.program @reads_the_same_twice
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @reads_its_own_row(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %b = npu_schedule.elementwise abs %x zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %s = npu_schedule.slice %b {offsets = #npu.ints<3, 0, 0>, strides = #npu.ints<1, 1, 1>}
         : tensor<1x8x8x16xi8> -> tensor<1x1x8x16xi8>
    %d = npu_schedule.elementwise add %b, %s zero_points <0, 0, 0> operand_scales <both 1 1>
         scale <1, shift 1, double_round> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x1x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %d : tensor<1x8x8x16xi8>
  }
  func.func @reads_the_same_twice(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    %b = npu_schedule.elementwise abs %x zero_points <0, 0> scale <1, shift 0, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %d = npu_schedule.elementwise add %b, %b zero_points <0, 0, 0> operand_scales <both 1 1>
         scale <1, shift 1, double_round> activation <-128, 127>
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return %d : tensor<1x8x8x16xi8>
  }
}

// -----

// A DMA brings 16 bytes at a time, 64 for the 54 of %b: the result of the region has just 54, and lies elsewhere.
// CHECK-LABEL: @brings_more
// CHECK: max %b, %x
// CHECK-NOT: in_place
// CMD-LABEL: npu_cmd.program @brings_more
!t = tensor<1x3x3x6xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @brings_more(%x: !t) -> !t attributes {npu.region} {
    %c = npu_schedule.constant dense<1> : !t
    %b = npu_schedule.transfer %c : (!t) -> !t
    %d = npu_schedule.elementwise max %b, %x zero_points <0, 0, 0> activation <-128, 127> : (!t, !t) -> !t
    func.return %d : !t
  }
}
