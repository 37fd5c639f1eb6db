// RUN: npu-opt %s -p convert-npu-schedule-to-npu-cmd --split-input-file | filecheck %s

// Tensors become buffers, kernels become launches, views become offsets and strides.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @views
  // Argument and result are the caller's. The concat is one buffer: that of the result, since it is returned.
  // CHECK: [[X:%[0-9]+]] = npu_cmd.input index <0> : !npu.buffer<1024, arena>
  // CHECK: [[Y:%[0-9]+]] = npu_cmd.output index <0> : !npu.buffer<2048, arena>
  func.func @views(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x32xi8> attributes {npu.region} {
    // Each operand of the concat is written to its place: 32 bytes from column to column, the second 16 bytes on.
    // CHECK: pool max ifm [[X]] {{.*}} ofm [[Y]] <8x8x16xi8, nhwc, strides 256 32 1>
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    // CHECK: elementwise abs ifm [[X]] {{.*}} ofm [[Y]] <8x8x16xi8, nhwc, offset 16, strides 256 32 1>
    %b = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
         : (tensor<1x8x8x16xi8>, tensor<1x8x8x16xi8>) -> tensor<1x8x8x32xi8>
    func.return %c : tensor<1x8x8x32xi8>
    // CHECK-NEXT: npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @sliced
  func.func @sliced(%x: tensor<1x4x4x16xi8>) -> tensor<1x4x4x48xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<48x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<48xi64>, multiplier = dense<1073741824> : tensor<48xi32>,
      shift = dense<30> : tensor<48xi8>} : !npu_schedule.scales<48>
    %t = npu_schedule.constant dense<7> : tensor<256xi8>
    // The table is brought to SHRAM once, before the first launch that needs it.
    // CHECK: [[T:%[0-9]+]] = npu_cmd.alloc : !npu.buffer<256, shram>
    // CHECK-NEXT: npu_cmd.dma from {{.*}} to [[T]] size <256>
    // Each depth slice is a launch with weights of its own: scales of 32 channels are 320 bytes, then weights.
    // CHECK-NEXT: conv {{.*}} ofm {{.*}} <4x4x32xi8, nhwc, strides 192 48 1> weights [[W:%[0-9]+]] <320, {{[0-9]+}}> scales [[W]] <0, 320> {{.*}} table [[T]]
    // CHECK-NEXT: conv {{.*}} ofm {{.*}} <4x4x16xi8, nhwc, offset 32, strides 192 48 1> weights {{.*}} <160, {{[0-9]+}}> {{.*}} table [[T]]
    // CHECK-NEXT: npu_cmd.free [[T]]
    %y = npu_schedule.conv2d %x, %w, %s window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <table, -128, 127> table %t slices <0, 32, 48>
         : (tensor<1x4x4x16xi8>, tensor<48x1x1x16xi8>, !npu_schedule.scales<48>, tensor<256xi8>)
           -> tensor<1x4x4x48xi8>
    func.return %y : tensor<1x4x4x48xi8>
  }
}

// -----

// A cascade is unrolled on demand: before a stripe of a kernel, its producer runs just far enough to feed it.
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @cascaded
  func.func @cascaded(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> attributes {npu.region} {
    // %a never exists as a whole. Five of its eight rows are enough, 128 bytes each.
    // CHECK: [[A:%[0-9]+]] = npu_cmd.alloc : !npu.buffer<640, arena>

    // Rows 0 to 4 of %a. There is padding at the top of the feature map and none between stripes.
    // CHECK-NEXT: pool max ifm {{.*}} <3x8x16xi8, nhwc> ofm [[A]] <2x8x16xi8, nhwc> window <3x3, pad 1 1 0 1>
    // CHECK-NEXT: pool max ifm {{.*}} offset 128> ofm [[A]] <2x8x16xi8, nhwc, offset 256> window <3x3, pad 0 1 0 1>
    // CHECK-NEXT: pool max ifm {{.*}} offset 384> ofm [[A]] <1x8x16xi8, nhwc, offset 512> window <3x3, pad 0 1 0 1>
    // They give rows 0 to 3 of the result.
    // CHECK-NEXT: pool max ifm [[A]] <5x8x16xi8, nhwc> ofm {{.*}} <4x8x16xi8, nhwc> window <3x3, pad 1 1 0 1>

    // Rows 5 and 6 take the place of rows 0 and 1, which nothing needs any more; row 7 that of row 2.
    // CHECK-NEXT: pool max ifm {{.*}} offset 512> ofm [[A]] <2x8x16xi8, nhwc> window
    // CHECK-NEXT: pool max ifm {{.*}} offset 768> ofm [[A]] <1x8x16xi8, nhwc, offset 256> window <3x3, pad 0 1 1 1>
    // Rows 3 to 7 go around the end of the buffer: two rows from byte 384, the others from its start.
    // CHECK-NEXT: pool max ifm [[A]] <5x8x16xi8, nhwc, offset 384, tiles 8 2 2 0 0 0> ofm {{.*}} <4x8x16xi8, nhwc, offset 512>
    // CHECK-NEXT: npu_cmd.free [[A]]
    %y = npu_schedule.cascade -> tensor<1x8x8x16xi8> {
      %a = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
           stripe <2> rolling <5> : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
      %b = npu_schedule.pool max %a window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
           stripe <4> : (tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8>
      npu_schedule.yield %b : tensor<1x8x8x16xi8>
    }
    func.return %y : tensor<1x8x8x16xi8>
  }
}

// -----

// A transfer in a cascade brings the rows of the next launch right behind the current one, so that the two run side by
// side. Rows of 128 bytes; where the buffer of ten wraps, they take two transfers.
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: npu_cmd.program @streamed
  func.func @streamed(%x: tensor<1x16x8x16xi8>) -> tensor<1x16x8x16xi8> attributes {npu.region} {
    // CHECK: [[R:%[0-9]+]] = npu_cmd.alloc : !npu.buffer<1280, arena>
    // CHECK-NEXT: dma from [[X:%[0-9]+]] to [[R]] size <640>
    // CHECK-NEXT: pool max ifm [[R]] <5x8x16xi8, nhwc>
    // CHECK-NEXT: dma from [[X]] <640> to [[R]] <640> size <512>
    // CHECK-NEXT: pool max ifm [[R]] <6x8x16xi8, nhwc, offset 384>
    // CHECK-NEXT: dma from [[X]] <1152> to [[R]] <1152> size <128>
    // CHECK-NEXT: dma from [[X]] <1280> to [[R]] size <384>
    // CHECK-NEXT: pool max ifm [[R]] <6x8x16xi8, nhwc, offset 896, tiles 8 3 3 0 0 0>
    %c = npu_schedule.constant dense<1> : tensor<1x16x8x16xi8>
    %y = npu_schedule.cascade -> tensor<1x16x8x16xi8> {
      %near = npu_schedule.transfer %c rolling <10> : (tensor<1x16x8x16xi8>) -> tensor<1x16x8x16xi8>
      %a = npu_schedule.pool max %near window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127> stripe <4>
           : (tensor<1x16x8x16xi8>) -> tensor<1x16x8x16xi8>
      npu_schedule.yield %a : tensor<1x16x8x16xi8>
    }
    func.return %y : tensor<1x16x8x16xi8>
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // A copy whose columns are rows of the result: exchanged strides. A shallow one is a maximum, 32 bits are pairs of 16.
  // CHECK-LABEL: npu_cmd.program @copies
  // CHECK: npu_cmd.elementwise max ifm {{.*}} <4x6x1xi8, nhwc> ofm {{.*}} <4x6x1xi8, nhwc, strides 1 4 1> scalar <-128, 0> scale <1, shift 0, natural> activation <-128, 127>
  // CHECK: npu_cmd.elementwise max ifm {{.*}} <4x6x2xi16, nhwc> ofm {{.*}} <4x6x2xi16, nhwc, offset 92, strides -24 -4 2> scalar <-32768, 0>
  // CHECK: npu_cmd.pool average ifm {{.*}} <4x6x8xui8, nhwc> ofm {{.*}} <4x6x8xui8, nhwc>
  func.func @copies(%x: tensor<1x4x6x1xi8>, %y: tensor<1x4x6x1xi32>, %z: tensor<1x4x6x8xui8>)
      -> (tensor<1x6x4x1xi8>, tensor<1x4x6x1xi32>, tensor<1x4x6x8xui8>) attributes {npu.region} {
    %a = npu_schedule.copy %x : tensor<1x4x6x1xi8> -> tensor<1x4x6x1xi8>
    %b = npu_schedule.transpose %a : tensor<1x4x6x1xi8> -> tensor<1x6x4x1xi8>
    %c = npu_schedule.copy %y : tensor<1x4x6x1xi32> -> tensor<1x4x6x1xi32>
    %d = npu_schedule.slice %c {offsets = #npu.ints<3, 5, 0>, strides = #npu.ints<-1, -1, 1>}
         : tensor<1x4x6x1xi32> -> tensor<1x4x6x1xi32>
    %e = npu_schedule.copy %z : tensor<1x4x6x8xui8> -> tensor<1x4x6x8xui8>
    func.return %b, %d, %e : tensor<1x6x4x1xi8>, tensor<1x4x6x1xi32>, tensor<1x4x6x8xui8>
  }
}
