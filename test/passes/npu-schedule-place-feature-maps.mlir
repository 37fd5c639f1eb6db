// RUN: npu-opt %s -p npu-schedule-place-feature-maps --split-input-file | filecheck %s

// A fast memory of 20000 bytes beside a slow arena. The operand and the result of the region are the host's. What lies
// between goes to the fast memory: %a, %b and what is joined of them, 8192 bytes.
// CHECK-LABEL: @joined
// CHECK:      pool max {{.*}} (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8, #npu.layout<nhwc, fast>>
// CHECK-NEXT: pool max {{.*}} (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8, #npu.layout<nhwc, fast>>
// CHECK-NEXT: concat {{.*}} -> tensor<1x16x16x32xi8, #npu.layout<nhwc, fast>>
// CHECK-NEXT: pool max {{.*}} (tensor<1x16x16x32xi8, #npu.layout<nhwc, fast>>) -> tensor<1x16x16x32xi8>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 20000>} {
  func.func @joined(%x: tensor<1x16x16x16xi8>) -> tensor<1x16x16x32xi8> attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %b = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>
    %c = npu_schedule.concat %a, %b {axis = #npu.ints<3>}
         : (tensor<1x16x16x16xi8>, tensor<1x16x16x16xi8>) -> tensor<1x16x16x32xi8>
    %y = npu_schedule.pool max %c window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    func.return %y : tensor<1x16x16x32xi8>
  }
}

// -----

// Three values of 4096 bytes are alive while %b runs, one row each, so that no cascade helps: two fit. %s is read twice,
// which would cost most; of the others %a goes: it is read by the kernel that has most to do besides.
!t = tensor<1x1x256x16xi8>
// CHECK-LABEL: @skip
// CHECK:      %s = {{.*}} -> tensor<1x1x256x16xi8, #npu.layout<nhwc, fast>>
// CHECK-NEXT: %a = {{.*}} -> tensor<1x1x256x16xi8>{{$}}
// CHECK-NEXT: %b = {{.*}} -> tensor<1x1x256x16xi8, #npu.layout<nhwc, fast>>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 9000>} {
  func.func @skip(%x: !t) -> !t attributes {npu.region} {
    %s = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %a = npu_schedule.pool max %s window <1x3, pad 0 1 0 1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %b = npu_schedule.pool max %a window <1x8, pad 0 3 0 4> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %y = npu_schedule.elementwise max %s, %b zero_points <0, 0, 0> activation <-128, 127> : (!t, !t) -> !t
    func.return %y : !t
  }
}

// -----

// Where somebody has placed a value already, the rest is left as it is.
!t = tensor<1x8x8x16xi8>
// CHECK-LABEL: @pinned
// CHECK: %a = {{.*}} -> tensor<1x8x8x16xi8>{{$}}
// CHECK: %b = {{.*}} -> tensor<1x8x8x16xi8, #npu.layout<nhwc, fast>>
module attributes {npu.target = #npu.target<"ethos-u65-256", "", "Dedicated_Sram", limit 9000>} {
  func.func @pinned(%x: !t) -> !t attributes {npu.region} {
    %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> : (!t) -> !t
    %b = npu_schedule.pool max %a window <1x1> zero_points <0, 0> activation <-128, 127>
         : (!t) -> tensor<1x8x8x16xi8, #npu.layout<nhwc, fast>>
    %y = npu_schedule.pool max %b window <1x1> zero_points <0, 0> activation <-128, 127>
         : (tensor<1x8x8x16xi8, #npu.layout<nhwc, fast>>) -> !t
    func.return %y : !t
  }
}

// -----

// A rolling buffer of a cascade that is there already is spilled, too, where the limit is missed with it.
// CHECK-LABEL: @rolling
// CHECK: rolling <4> : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>{{$}}
!t = tensor<1x16x16x16xi8>
module attributes {npu.target = #npu.target<"ethos-u65-512", "", "Dedicated_Sram_384KB", limit 512>} {
  func.func @rolling(%x: !t) -> !t attributes {npu.region} {
    %y = npu_schedule.cascade -> !t {
      %a = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> stripe <4> rolling <4>
           : (!t) -> !t
      %b = npu_schedule.pool max %a window <1x1> zero_points <0, 0> activation <-128, 127> stripe <4> : (!t) -> !t
      npu_schedule.yield %b : !t
    }
    func.return %y : !t
  }
}
