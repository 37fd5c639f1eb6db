// RUN: npu-opt %s -p 'convert-npu-schedule-to-npu-cmd,npu-cmd-hoist-dma' --split-input-file | filecheck %s

// A pool with 4096 bytes before and 4096 behind it, then a convolution whose weights (240 bytes) pass through a buffer.
// The three programs differ in nothing but the memory that they may take.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // The pool needs 8192 bytes. With 240 more the transfer can be issued right behind its launch, before what the pool
  // has read is freed: the two run side by side, and the convolution need not wait long.
  // CHECK-LABEL: @room
  // CHECK: npu_cmd.pool
  // CHECK: npu_cmd.pool
  // CHECK-NEXT: %[[B:.*]] = npu_cmd.alloc : !npu.buffer<240, arena>
  // CHECK-NEXT: npu_cmd.dma from %{{.*}} to %[[B]] size <240>
  // CHECK-NEXT: npu_cmd.free %[[X:.*]] : !npu.buffer<4096, arena>
  // CHECK: npu_cmd.conv
  func.func @room(%in: tensor<1x16x16x16xi8>) -> tensor<1x6x6x16xi8> attributes {npu.region, npu.sram_limit = 8432} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %x = npu_schedule.pool max %in window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %p = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %y = npu_schedule.conv2d %p, %w, %s window <1x1, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x16x16x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x6x6x16xi8>
    func.return %y : tensor<1x6x6x16xi8>
  }

  // One byte less, and it stays where it is: the convolution itself needs far less than 8431 bytes, the peak does not.
  // CHECK-LABEL: @one_byte_short
  // CHECK: npu_cmd.pool
  // CHECK: npu_cmd.pool
  // CHECK-NEXT: npu_cmd.free
  // CHECK: npu_cmd.dma
  // CHECK-NEXT: npu_cmd.conv
  func.func @one_byte_short(%in: tensor<1x16x16x16xi8>) -> tensor<1x6x6x16xi8>
      attributes {npu.region, npu.sram_limit = 8431} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %x = npu_schedule.pool max %in window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %p = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %y = npu_schedule.conv2d %p, %w, %s window <1x1, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x16x16x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x6x6x16xi8>
    func.return %y : tensor<1x6x6x16xi8>
  }

  // Where nothing is said of a limit, hoisting does not add to the peak that there is: 8192 bytes, too.
  // CHECK-LABEL: @no_limit
  // CHECK: npu_cmd.pool
  // CHECK: npu_cmd.pool
  // CHECK-NEXT: npu_cmd.free
  // CHECK: npu_cmd.dma
  // CHECK-NEXT: npu_cmd.conv
  func.func @no_limit(%in: tensor<1x16x16x16xi8>) -> tensor<1x6x6x16xi8> attributes {npu.region} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %x = npu_schedule.pool max %in window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %p = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %y = npu_schedule.conv2d %p, %w, %s window <1x1, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x16x16x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x6x6x16xi8>
    func.return %y : tensor<1x6x6x16xi8>
  }

  // Two convolutions behind the pool, with 240 and 2192 bytes of weights. Beside the pool there is memory for the second
  // buffer or for the first, not for both. The one that is needed last comes first: so the first is left to wait.
  // CHECK-LABEL: @backwards
  // CHECK: npu_cmd.pool
  // CHECK-NEXT: %{{.*}} = npu_cmd.alloc : !npu.buffer<2192, arena>
  func.func @backwards(%in: tensor<1x16x16x16xi8>) -> tensor<1x2x2x64xi8>
      attributes {npu.region, npu.sram_limit = 10500} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %v = npu_schedule.constant dense<1> : tensor<64x3x3x16xi8>
    %t = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %p = npu_schedule.pool max %in window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %x = npu_schedule.conv2d %p, %w, %s window <1x1, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x16x16x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x6x6x16xi8>
    %y = npu_schedule.conv2d %x, %v, %t window <3x3, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x6x6x16xi8>, tensor<64x3x3x16xi8>, !npu_schedule.scales<64>) -> tensor<1x2x2x64xi8>
    func.return %y : tensor<1x2x2x64xi8>
  }

  // The other way round it is there in time.
  // CHECK-LABEL: @forwards
  // CHECK: npu_cmd.pool
  // CHECK-NEXT: %{{.*}} = npu_cmd.alloc : !npu.buffer<240, arena>
  func.func @forwards(%in: tensor<1x16x16x16xi8>) -> tensor<1x2x2x64xi8>
      attributes {npu.region, npu.sram_limit = 10500, npu.transfers_forwards} {
    %w = npu_schedule.constant dense<1> : tensor<16x1x1x16xi8>
    %s = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>,
      shift = dense<30> : tensor<16xi8>} : !npu_schedule.scales<16>
    %v = npu_schedule.constant dense<1> : tensor<64x3x3x16xi8>
    %t = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>,
      shift = dense<30> : tensor<64xi8>} : !npu_schedule.scales<64>
    %p = npu_schedule.pool max %in window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %x = npu_schedule.conv2d %p, %w, %s window <1x1, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x16x16x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x6x6x16xi8>
    %y = npu_schedule.conv2d %x, %v, %t window <3x3, stride 3x3> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127> buffers <1>
         : (tensor<1x6x6x16xi8>, tensor<64x3x3x16xi8>, !npu_schedule.scales<64>) -> tensor<1x2x2x64xi8>
    func.return %y : tensor<1x2x2x64xi8>
  }
}

// -----

// What is alive at one time needs 400 bytes at the most, with the transfer of the 240 bytes of %w beside the first pool,
// too. But then no addresses are below 400: %a and %w would fill that memory, so %c and %d lie where %a was; %d, %e and
// %f fill it as well, %f at the end where %g leaves it memory. So %e would lie beside %d, where %c still is.

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // CHECK-LABEL: @gap
  // CHECK:      npu_cmd.pool
  // CHECK-NEXT: npu_cmd.free
  // CHECK-NEXT: npu_cmd.alloc
  // CHECK-NEXT: npu_cmd.dma
  npu_cmd.program @gap attributes {npu.sram_limit = 400 : i64} {
    %in = npu_cmd.constant dense<1> : tensor<240xui8> -> !npu.buffer<240, read_only>
    %stream = npu_cmd.constant dense<0> : tensor<240xui8> -> !npu.buffer<240, read_only>
    %a = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %a <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %a : !npu.buffer<160, arena>
    %w = npu_cmd.alloc : !npu.buffer<240, arena>
    npu_cmd.dma from %stream to %w size <240> : !npu.buffer<240, read_only>, !npu.buffer<240, arena>
    %c = npu_cmd.alloc : !npu.buffer<80, arena>
    %d = npu_cmd.alloc : !npu.buffer<80, arena>
    npu_cmd.conv ifm %in <1x5x16xi8, nhwc> ofm %c <1x5x16xi8, nhwc> weights %w <80, 160> scales %w <0, 80>
      window <1x1> scale <per_channel, double_round> activation <-128, 127> block <2x8x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<80, arena>, !npu.buffer<240, arena>, !npu.buffer<240, arena>
    npu_cmd.free %w : !npu.buffer<240, arena>
    npu_cmd.pool max ifm %in <1x5x16xi8, nhwc> ofm %d <1x5x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<80, arena>
    %e = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %e <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %c : !npu.buffer<80, arena>
    %f = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %f <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %d : !npu.buffer<80, arena>
    npu_cmd.free %e : !npu.buffer<160, arena>
    %g = npu_cmd.alloc : !npu.buffer<240, arena>
    npu_cmd.pool max ifm %in <1x15x16xi8, nhwc> ofm %g <1x15x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<240, arena>
    npu_cmd.free %f : !npu.buffer<160, arena>
    npu_cmd.free %g : !npu.buffer<240, arena>
    npu_cmd.stop
  }
}

// -----

module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  // 80 bytes more, and there are.
  // CHECK-LABEL: @no_gap
  // CHECK:      npu_cmd.pool
  // CHECK-NEXT: npu_cmd.alloc
  // CHECK-NEXT: npu_cmd.dma
  // CHECK-NEXT: npu_cmd.free
  npu_cmd.program @no_gap attributes {npu.sram_limit = 480 : i64} {
    %in = npu_cmd.constant dense<1> : tensor<240xui8> -> !npu.buffer<240, read_only>
    %stream = npu_cmd.constant dense<0> : tensor<240xui8> -> !npu.buffer<240, read_only>
    %a = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %a <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %a : !npu.buffer<160, arena>
    %w = npu_cmd.alloc : !npu.buffer<240, arena>
    npu_cmd.dma from %stream to %w size <240> : !npu.buffer<240, read_only>, !npu.buffer<240, arena>
    %c = npu_cmd.alloc : !npu.buffer<80, arena>
    %d = npu_cmd.alloc : !npu.buffer<80, arena>
    npu_cmd.conv ifm %in <1x5x16xi8, nhwc> ofm %c <1x5x16xi8, nhwc> weights %w <80, 160> scales %w <0, 80>
      window <1x1> scale <per_channel, double_round> activation <-128, 127> block <2x8x16>
      shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<80, arena>, !npu.buffer<240, arena>, !npu.buffer<240, arena>
    npu_cmd.free %w : !npu.buffer<240, arena>
    npu_cmd.pool max ifm %in <1x5x16xi8, nhwc> ofm %d <1x5x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<80, arena>
    %e = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %e <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %c : !npu.buffer<80, arena>
    %f = npu_cmd.alloc : !npu.buffer<160, arena>
    npu_cmd.pool max ifm %in <1x10x16xi8, nhwc> ofm %f <1x10x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<160, arena>
    npu_cmd.free %d : !npu.buffer<80, arena>
    npu_cmd.free %e : !npu.buffer<160, arena>
    %g = npu_cmd.alloc : !npu.buffer<240, arena>
    npu_cmd.pool max ifm %in <1x15x16xi8, nhwc> ofm %g <1x15x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
      activation <-128, 127> block <2x8x16> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<240, read_only>, !npu.buffer<240, arena>
    npu_cmd.free %f : !npu.buffer<160, arena>
    npu_cmd.free %g : !npu.buffer<240, arena>
    npu_cmd.stop
  }
}
