// RUN: npu-opt %s --split-input-file --verify-diagnostics | filecheck %s

// What the machine of the module cannot do is an error of the IR, in one line; so is what no machine can do.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @f(%x: tensor<1x8x8x16xi8>) {
    // CHECK: block width 3 is not a multiple of 2 from 2 to 64 (ethos-u55-128)
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> block <4x3x16>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    func.return
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-32">} {
  func.func @f(%x: tensor<1x32x32x16xi8>) {
    // CHECK: block 16x32x16 needs more SHRAM than ethos-u55-32 has: input of 16 and accumulators of 64 banks in 14
    %a = npu_schedule.copy %x block <16x32x16> : tensor<1x32x32x16xi8> -> tensor<1x32x32x16xi8>
    func.return
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @f(%x: tensor<1x9x8x16xi8>) {
    // CHECK: stride 4x1: each must be 1 to 3
    %a = npu_schedule.pool max %x window <1x1, stride 4x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x9x8x16xi8>) -> tensor<1x3x8x16xi8>
    func.return
  }
}

// -----

// Both cores read the sum's input as it lies, channel by channel: no bricks.
module attributes {npu.target = #npu.target<"ethos-u65-512">} {
  func.func @f(%x: tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>) {
    // CHECK: reduce_sum of two cores or 32 bits reads nhwc only
    %a = npu_schedule.pool sum %x window <1x1> zero_points <0, 0> scale <1, shift 3, natural> activation <-128, 127>
         : (tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>) -> tensor<1x8x8x1xi8>
    func.return
  }
}

// -----

// The same without a target: nothing is known of the machine, so this is right.
func.func @no_target(%x: tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>) {
  // CHECK-LABEL: @no_target
  // CHECK-NEXT: pool sum
  %a = npu_schedule.pool sum %x window <1x1> zero_points <0, 0> scale <1, shift 3, natural> activation <-128, 127>
       block <4x3x1> : (tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>) -> tensor<1x8x8x1xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x16xi8>) {
  // CHECK: zero point 70000 is not from -32768 to 65535
  %a = npu_schedule.pool max %x window <1x1> zero_points <0, 70000> activation <-128, 127>
       : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x16xi8>) {
  // CHECK: shift 64 is not from 0 to 63
  %a = npu_schedule.pool average %x window <1x1> zero_points <0, 0> scale <1, shift 64, natural> activation <-128, 127>
       : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x16xi8>) {
  // CHECK: OFM height 8 needs 10 padded IFM elements, there are 9
  %a = npu_schedule.pool max %x window <3x1, pad 1 0 0 0> zero_points <0, 0> activation <-128, 127>
       : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>) {
  // CHECK: a slice of bricks goes forwards
  %a = npu_schedule.slice %x {offsets = #npu.ints<7, 0, 0>, strides = #npu.ints<-1, 1, 1>}
       : tensor<1x8x8x32xi8, #npu.layout<nhcwb16>> -> tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x32xi8>) {
  // CHECK: slice of 4 elements from 5 by -2 leaves an axis of 8
  %a = npu_schedule.slice %x {offsets = #npu.ints<0, 5, 0>, strides = #npu.ints<1, -2, 1>}
       : tensor<1x8x8x32xi8> -> tensor<1x8x4x32xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x32xi8>) {
  // CHECK: offsets and strides, none of them 0, are given for height, width and depth
  %a = npu_schedule.slice %x {offsets = #npu.ints<0, 5, 0>, strides = #npu.ints<1, 0, 1>}
       : tensor<1x8x8x32xi8> -> tensor<1x8x4x32xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x8x32xi8>) {
  // CHECK: tensor<1x4x8x32xi8> with height and width exchanged is no tensor<1x4x8x32xi8>
  %a = npu_schedule.transpose %x : tensor<1x4x8x32xi8> -> tensor<1x4x8x32xi8>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>) {
  // CHECK: rows and columns of bricks cannot be exchanged: both sides must be linear
  %a = npu_schedule.transpose %x
       : tensor<1x8x8x32xi8, #npu.layout<nhcwb16>> -> tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x32xi8, #npu.layout<nhcwb16>>) {
  // CHECK: a slice of bricks starts at a multiple of 16 channels and takes every column
  %a = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 8>, strides = #npu.ints<1, 1, 1>}
       : tensor<1x8x8x32xi8, #npu.layout<nhcwb16>> -> tensor<1x8x8x16xi8, #npu.layout<nhcwb16>>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x24xi8, #npu.layout<nhcwb16>>) {
  // CHECK: a concat of bricks joins at multiples of 16 channels
  %a = npu_schedule.concat %x, %x {axis = #npu.ints<3>}
       : (tensor<1x8x8x24xi8, #npu.layout<nhcwb16>>, tensor<1x8x8x24xi8, #npu.layout<nhcwb16>>)
         -> tensor<1x8x8x48xi8, #npu.layout<nhcwb16>>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x16xi8>, %y: tensor<1x1x1x16xi8>) {
  // CHECK: a tensor<1x8x8x16xi8> does not fit exactly in the place of a tensor<1x1x1x16xi8>
  %a = npu_schedule.elementwise max %x, %y zero_points <0, 0, 0> activation <-128, 127> in_place <1>
       : (tensor<1x8x8x16xi8>, tensor<1x1x1x16xi8>) -> tensor<1x8x8x16xi8>
  func.return
}

// -----

func.func @f() {
  // CHECK: 'npu_schedule.scales': shift 64 of channel 1 is outside 0..63
  %s = npu_schedule.scales {bias = dense<0> : tensor<2xi64>, multiplier = dense<1> : tensor<2xi32>,
                            shift = dense<[63, 64]> : tensor<2xi8>} : !npu_schedule.scales<2>
  func.return
}

// -----

func.func @f() {
  // CHECK: 'npu_schedule.scales': shift -1 of channel 0 is outside 0..63
  %s = npu_schedule.scales {bias = dense<0> : tensor<2xi64>, multiplier = dense<1> : tensor<2xi32>,
                            shift = dense<-1> : tensor<2xi8>} : !npu_schedule.scales<2>
  func.return
}

// -----

func.func @f() {
  // CHECK: 'npu_schedule.scales': bias -549755813889 of channel 1 is outside -549755813888..549755813887
  %s = npu_schedule.scales {bias = dense<[549755813887, -549755813889]> : tensor<2xi64>,
                            multiplier = dense<[-1, 0]> : tensor<2xi32>,
                            shift = dense<0> : tensor<2xi8>} : !npu_schedule.scales<2>
  func.return
}

// -----

// All 32 bits of a multiplier count.
// CHECK: npu_schedule.scales {bias = dense<549755813887> : tensor<2xi64>, multiplier = dense<-1>
func.func @f() {
  %s = npu_schedule.scales {bias = dense<549755813887> : tensor<2xi64>, multiplier = dense<-1> : tensor<2xi32>,
                            shift = dense<63> : tensor<2xi8>} : !npu_schedule.scales<2>
  func.return
}

// -----

func.func @f(%x: tensor<1x8x8x16xi8>) {
  // What a cascade holds is verified before it: launches of no rows would never come to an end.
  // CHECK: 'npu_schedule.elementwise': stripe is one number of rows from 1 to 8
  %c = npu_schedule.cascade -> tensor<1x8x8x16xi8> {
    %a = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> stripe <0>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    npu_schedule.yield %a : tensor<1x8x8x16xi8>
  }
  func.return
}

// -----

func.func @f(%x: tensor<1x65537x1x1xi8>) {
  // CHECK: 'npu_schedule.elementwise': OFM height 65537 is not from 1 to 65536
  %a = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127>
       : (tensor<1x65537x1x1xi8>) -> tensor<1x65537x1x1xi8>
  func.return
}

// -----

!t = tensor<1x8x8x16xi8>
func.func @f(%x: !t) {
  // The rows of the next launch are brought while the current one reads its own.
  // CHECK: 'npu_schedule.cascade': 4 rows are alive in a rolling buffer of 3
  %c = npu_schedule.cascade -> !t {
    %near = npu_schedule.transfer %x rolling <3> : (!t) -> !t
    %a = npu_schedule.elementwise abs %near zero_points <0, 0> activation <-128, 127> stripe <2> : (!t) -> !t
    npu_schedule.yield %a : !t
  }
  func.return
}

// -----

!t = tensor<1x8x8x16xi8>
func.func @f(%x: !t) {
  // CHECK: 'npu_schedule.cascade': a transfer of a cascade brings what lies outside of it
  %c = npu_schedule.cascade -> !t {
    %a = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> stripe <2> : (!t) -> !t
    %near = npu_schedule.transfer %a rolling <4> : (!t) -> !t
    %b = npu_schedule.elementwise abs %near zero_points <0, 0> activation <-128, 127> stripe <2> : (!t) -> !t
    npu_schedule.yield %b : !t
  }
  func.return
}
