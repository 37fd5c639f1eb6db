// RUN: npu-opt %s -p 'npu-schedule-limit-sram' --split-input-file | filecheck %s --check-prefix=ALL
// RUN: npu-opt %s -p 'npu-schedule-limit-sram{strategy="size" slowdown=4.0}' --split-input-file | filecheck %s --check-prefix=SIZE
// RUN: npu-opt %s -p 'npu-schedule-limit-sram{strategy="size" slowdown=1.0}' --split-input-file | filecheck %s --check-prefix=QUICK

// Depth 8, then 32, then 8 again. Whole, %b reads 8192 bytes and writes 2048. As a cascade they need %x, 2048 bytes, over
// which %b lies row by row, and one row of %a, 512, of which each consumer's launch sees the only one.

// A limit that the target has is there to be spent. Size takes what the cascade needs, unless it must not take a cycle
// longer; the quickest that it is held against keeps to the memory of the plain schedule.
// ALL:   @bottleneck{{.*}} npu.sram_limit = 100000 : i64
// SIZE:  @bottleneck{{.*}} npu.sram_limit = 2560 : i64
// QUICK: @bottleneck{{.*}} npu.sram_limit = 10240 : i64
module attributes {npu.target = #npu.target<"ethos-u55-128", "", "", limit 100000>} {
  func.func @bottleneck(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8> attributes {npu.region} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %b = npu_schedule.conv2d %a, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x16x16x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x16x16x8xi8>
    func.return %b : tensor<1x16x16x8xi8>
  }
}

// -----

// The regions of a network share one arena. While @second runs, the host keeps %a, 1024 bytes, for @third: they count
// beside the region itself, which needs 1152 bytes: one row of %y, 128, lies before %x, the others over it. @first cannot
// write over %x, which @second reads; it needs 2048 only, but all get the same limit. Nobody names a size, so that Performance
// takes no more than the 3072 of kernels that run whole. A limit that somebody has written stays.
// ALL:      @first{{.*}} npu.sram_limit = 3072 : i64
// ALL:      @second{{.*}} npu.sram_limit = 3072 : i64
// ALL:      @third{{.*}} npu.sram_limit = 50000 : i64
// SIZE:     @first{{.*}} npu.sram_limit = 2176 : i64
// SIZE:     @second{{.*}} npu.sram_limit = 2176 : i64
// SIZE:     @third{{.*}} npu.sram_limit = 50000 : i64
!t = tensor<1x8x8x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @main(%x: !t) -> !t {
    %a = npu.invoke @first(%x) : (!t) -> !t
    %b = npu.invoke @second(%x) : (!t) -> !t
    %c = npu.invoke @third(%b, %a) : (!t, !t) -> !t
    func.return %c : !t
  }
  func.func private @first(%x: !t) -> !t attributes {npu.region} {
    %y = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    func.return %y : !t
  }
  func.func private @second(%x: !t) -> !t attributes {npu.region} {
    %y = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %z = npu_schedule.elementwise abs %y zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    func.return %z : !t
  }
  func.func private @third(%x: !t, %y: !t) -> !t attributes {npu.region, npu.sram_limit = 50000 : i64} {
    %z = npu_schedule.elementwise max %x, %y zero_points <0, 0, 0> activation <-128, 127> : (!t, !t) -> !t
    func.return %z : !t
  }
}

// -----

// Nobody names a size here either. As they stand %a and %b take 163840 bytes, so much Performance may spend; a cascade is
// hardly slower.
// ALL:   @wide{{.*}} npu.sram_limit = 65536 : i64
// SIZE:  @wide{{.*}} npu.sram_limit = 34816 : i64
// QUICK: @wide{{.*}} npu.sram_limit = 163840 : i64
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @wide(%x: tensor<1x64x64x8xi8>) -> tensor<1x64x64x8xi8> attributes {npu.region} {
    %w0 = npu_schedule.constant dense<1> : tensor<32x1x1x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>,
      shift = dense<30> : tensor<32xi8>} : !npu_schedule.scales<32>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x64x64x8xi8>, tensor<32x1x1x8xi8>, !npu_schedule.scales<32>) -> tensor<1x64x64x32xi8>
    %w1 = npu_schedule.constant dense<1> : tensor<8x1x1x32xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<8xi64>, multiplier = dense<1073741824> : tensor<8xi32>,
      shift = dense<30> : tensor<8xi8>} : !npu_schedule.scales<8>
    %b = npu_schedule.conv2d %a, %w1, %s1 window <1x1> zero_points <0, 0> scale <per_channel, double_round>
         activation <-128, 127>
         : (tensor<1x64x64x32xi8>, tensor<8x1x1x32xi8>, !npu_schedule.scales<8>) -> tensor<1x64x64x8xi8>
    func.return %b : tensor<1x64x64x8xi8>
  }
}

// -----

// The same where the memory mode names the size of the cache: Performance spends it.
// ALL:   @cached{{.*}} npu.sram_limit = 262144 : i64
!near = tensor<1x16x16x8xi8, #npu.layout<nhwc, fast>>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram_256KB">} {
  func.func @cached(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8> attributes {npu.region} {
    %y = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : (tensor<1x16x16x8xi8>) -> !near
    %z = npu_schedule.elementwise abs %y zero_points <0, 0> activation <-128, 127> : (!near) -> tensor<1x16x16x8xi8>
    func.return %z : tensor<1x16x16x8xi8>
  }
}

// -----

// Dedicated_Sram alone names none: no more of the cache than %y takes.
// ALL:   @unnamed{{.*}} npu.sram_limit = 2048 : i64
!near = tensor<1x16x16x8xi8, #npu.layout<nhwc, fast>>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram">} {
  func.func @unnamed(%x: tensor<1x16x16x8xi8>) -> tensor<1x16x16x8xi8> attributes {npu.region} {
    %y = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : (tensor<1x16x16x8xi8>) -> !near
    %z = npu_schedule.elementwise abs %y zero_points <0, 0> activation <-128, 127> : (!near) -> tensor<1x16x16x8xi8>
    func.return %z : tensor<1x16x16x8xi8>
  }
}
