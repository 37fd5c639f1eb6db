// RUN: npu-opt %s | npu-opt | filecheck %s
// RUN: npu-opt %s --print-op-generic | npu-opt | filecheck %s

// Everything that npu_schedule can say, printed as it was read, also by way of the generic form.

// CHECK: npu.target = #npu.target<"ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram", limit 65536>
module attributes {npu.target = #npu.target<"ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram", limit 65536>} {
  // CHECK-LABEL: func.func @kernels
  func.func @kernels(%x: tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8> attributes {npu.region} {
    // CHECK-NEXT: %w = npu_schedule.constant dense<1> : tensor<32x3x3x32xi8>
    %w = npu_schedule.constant dense<1> : tensor<32x3x3x32xi8>
    // CHECK-NEXT: %d = npu_schedule.constant dense<2> : tensor<32x3x3x1xi8>
    %d = npu_schedule.constant dense<2> : tensor<32x3x3x1xi8>
    // CHECK-NEXT: %t = npu_schedule.constant dense<3> : tensor<256xi8>
    %t = npu_schedule.constant dense<3> : tensor<256xi8>
    // CHECK-NEXT: %s = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1> : tensor<32xi32>, shift = dense<5> : tensor<32xi8>} : !npu_schedule.scales<32>
    %s = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1> : tensor<32xi32>, shift = dense<5> : tensor<32xi8>} : !npu_schedule.scales<32>
    // CHECK-NEXT: %a = npu_schedule.conv2d %x, %w, %s window <3x3, pad 1 1 1 1> zero_points <-1, -128> weight_zero_point <3> scale <per_channel, double_round> activation <table, -128, 127> table %t block <8x8x16> slices <0, 16, 32> buffers <2> :
    // CHECK-SAME: (tensor<1x16x16x32xi8>, tensor<32x3x3x32xi8>, !npu_schedule.scales<32>, tensor<256xi8>) -> tensor<1x16x16x32xi8, #npu.layout<nhcwb16>>
    %a = npu_schedule.conv2d %x, %w, %s window <3x3, pad 1 1 1 1> zero_points <-1, -128>
         weight_zero_point <3> scale <per_channel, double_round> activation <table, -128, 127> table %t
         block <8x8x16> slices <0, 16, 32> buffers <2>
         : (tensor<1x16x16x32xi8>, tensor<32x3x3x32xi8>, !npu_schedule.scales<32>, tensor<256xi8>)
           -> tensor<1x16x16x32xi8, #npu.layout<nhcwb16>>
    // CHECK-NEXT: %b = npu_schedule.depthwise_conv2d %a, %d, %s window <3x3, stride 2x2, dilation 2x2, upscale nearest>
    %b = npu_schedule.depthwise_conv2d %a, %d, %s window <3x3, stride 2x2, dilation 2x2, upscale nearest>
         zero_points <0, 0> scale <1073741824, shift 35, natural> activation <0, 6>
         : (tensor<1x16x16x32xi8, #npu.layout<nhcwb16>>, tensor<32x3x3x1xi8>, !npu_schedule.scales<32>)
           -> tensor<1x14x14x32xi8>
    // CHECK-NEXT: %c = npu_schedule.pool sum %b window <1x1> zero_points <0, 0> scale <1, shift 3, natural> activation <-32768, 32767> : (tensor<1x14x14x32xi8>) -> tensor<1x14x14x1xi32>
    %c = npu_schedule.pool sum %b window <1x1> zero_points <0, 0> scale <1, shift 3, natural>
         activation <-32768, 32767> : (tensor<1x14x14x32xi8>) -> tensor<1x14x14x1xi32>
    // CHECK-NEXT: %e = npu_schedule.elementwise sub %c, %c reversed zero_points <0, 0, 0> operand_scales <ifm2 1623821475, shift 13> scale <1, shift 1, double_round> activation <-32768, 32767> in_place <0> :
    %e = npu_schedule.elementwise sub %c, %c reversed zero_points <0, 0, 0>
         operand_scales <ifm2 1623821475, shift 13> scale <1, shift 1, double_round> activation <-32768, 32767>
         in_place <0> : (tensor<1x14x14x1xi32>, tensor<1x14x14x1xi32>) -> tensor<1x14x14x1xi32>
    // CHECK-NEXT: %f = npu_schedule.cascade -> tensor<1x16x16x32xi8> {
    %f = npu_schedule.cascade -> tensor<1x16x16x32xi8> {
      // CHECK-NEXT: %g = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> stripe <2> rolling <4> :
      %g = npu_schedule.pool max %x window <1x1> zero_points <0, 0> activation <-128, 127> stripe <2> rolling <4>
           : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
      // CHECK-NEXT: %h = npu_schedule.elementwise abs %g
      %h = npu_schedule.elementwise abs %g zero_points <0, 0> activation <-128, 127> stripe <1>
           : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
      // CHECK-NEXT: npu_schedule.yield %h : tensor<1x16x16x32xi8>
      npu_schedule.yield %h : tensor<1x16x16x32xi8>
    }
    // CHECK: %near = npu_schedule.transfer %x stripe <2> rolling <4> : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
    %streamed = npu_schedule.cascade -> tensor<1x16x16x32xi8> {
      %near = npu_schedule.transfer %x stripe <2> rolling <4> : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
      %far = npu_schedule.elementwise abs %near zero_points <0, 0> activation <-128, 127> stripe <2>
           : (tensor<1x16x16x32xi8>) -> tensor<1x16x16x32xi8>
      npu_schedule.yield %far : tensor<1x16x16x32xi8>
    }
    // CHECK: %i = npu_schedule.slice %f {offsets = #npu.ints<0, 2, 16>, strides = #npu.ints<1, 2, 1>} : tensor<1x16x16x32xi8> -> tensor<1x16x7x16xi8>
    %i = npu_schedule.slice %f {offsets = #npu.ints<0, 2, 16>, strides = #npu.ints<1, 2, 1>} : tensor<1x16x16x32xi8> -> tensor<1x16x7x16xi8>
    // CHECK-NEXT: %j = npu_schedule.copy %i block <4x4x16> : tensor<1x16x7x16xi8> -> tensor<1x16x7x16xi8>
    %j = npu_schedule.copy %i block <4x4x16> : tensor<1x16x7x16xi8> -> tensor<1x16x7x16xi8>
    // CHECK-NEXT: %k = npu_schedule.copy %i : tensor<1x16x7x16xi8> -> tensor<1x16x7x16xi8>
    %k = npu_schedule.copy %i : tensor<1x16x7x16xi8> -> tensor<1x16x7x16xi8>
    // CHECK-NEXT: %l = npu_schedule.concat %j, %k {axis = #npu.ints<3>} : (tensor<1x16x7x16xi8>, tensor<1x16x7x16xi8>) -> tensor<1x16x7x32xi8>
    %l = npu_schedule.concat %j, %k {axis = #npu.ints<3>} : (tensor<1x16x7x16xi8>, tensor<1x16x7x16xi8>) -> tensor<1x16x7x32xi8>
    // CHECK-NEXT: %n = npu_schedule.transpose %l : tensor<1x16x7x32xi8> -> tensor<1x7x16x32xi8>
    %n = npu_schedule.transpose %l : tensor<1x16x7x32xi8> -> tensor<1x7x16x32xi8>
    // CHECK-NEXT: %o = npu_schedule.slice %n {offsets = #npu.ints<6, 15, 0>, strides = #npu.ints<-1, -3, 1>} : tensor<1x7x16x32xi8> -> tensor<1x7x6x32xi8>
    %o = npu_schedule.slice %n {offsets = #npu.ints<6, 15, 0>, strides = #npu.ints<-1, -3, 1>} : tensor<1x7x16x32xi8> -> tensor<1x7x6x32xi8>
    // CHECK-NEXT: %m = npu_schedule.reshape %l : tensor<1x16x7x32xi8> -> tensor<1x3584xi8>
    %m = npu_schedule.reshape %l : tensor<1x16x7x32xi8> -> tensor<1x3584xi8>
    func.return %f : tensor<1x16x16x32xi8>
  }
}
