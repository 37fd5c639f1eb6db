// NPU kernels for TOSA: one kernel for each chain that the machine computes at once.
// RUN: npu-opt %s -p convert-tosa-to-npu-schedule | filecheck %s

// A convolution and the rescale behind it are one kernel; the clamp is another until activations are fused. Weights stay
// O, H, W, I; bias, multiplier and shift go to the scale stream of the channels.
// CHECK-LABEL: func.func @convolution
// CHECK-NEXT: %[[S:.*]] = npu_schedule.scales {bias = dense<7> : tensor<6xi64>, multiplier = dense<1342177280> : tensor<6xi32>, shift = dense<40> : tensor<6xi8>}
// CHECK-NEXT: %[[W:.*]] = npu_schedule.constant dense<1> : tensor<6x3x3x4xi8>
// CHECK-NEXT: %[[K:.*]] = npu_schedule.conv2d %x, %[[W]], %[[S]] window <3x3, stride 2x2, pad 0 0 1 1> zero_points <-3, 5> scale <per_channel, double_round> activation <-128, 127>
// CHECK-NEXT: npu_schedule.pool average %[[K]] window <1x1> {{.*}} activation <-3, 12>
// CHECK-NEXT: npu_schedule.reshape {{.*}} -> tensor<1x96xi8>
// CHECK-NEXT: func.return
func.func @convolution(%x: tensor<1x8x8x4xi8>) -> tensor<1x96xi8> {
  %w = "tosa.const"() <{values = dense<1> : tensor<6x3x3x4xi8>}> : () -> tensor<6x3x3x4xi8>
  %b = "tosa.const"() <{values = dense<7> : tensor<6xi32>}> : () -> tensor<6xi32>
  %xzp = "tosa.const"() <{values = dense<-3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %yzp = "tosa.const"() <{values = dense<5> : tensor<1xi8>}> : () -> tensor<1xi8>
  %m = "tosa.const"() <{values = dense<1342177280> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s = "tosa.const"() <{values = dense<40> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %shape = tosa.const_shape {values = dense<[1, 96]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %a = tosa.conv2d %x, %w, %b, %xzp, %wzp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>, tensor<6x3x3x4xi8>, tensor<6xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x6xi32>
  %r = tosa.rescale %a, %m, %s, %0, %yzp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x4x4x6xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x4x4x6xi8>
  %c = tosa.clamp %r {max_val = 12 : i8, min_val = -3 : i8} : (tensor<1x4x4x6xi8>) -> tensor<1x4x4x6xi8>
  %y = tosa.reshape %c, %shape : (tensor<1x4x4x6xi8>, !tosa.shape<2>) -> tensor<1x96xi8>
  func.return %y : tensor<1x96xi8>
}

// TFLite's subtraction in 32 bits is the NPU's SUB. The operand that is broadcast must be IFM2, so the two change places
// (`reversed`), and with them the one that has the full scale; the other is halved by the hardware.
// CHECK-LABEL: func.func @sum
// CHECK-NEXT: npu_schedule.elementwise sub %a, %b reversed zero_points <-7, -7, -7> operand_scales <ifm2 1518500250, shift 12> scale <1518500250, shift 49, double_round> activation <-128, 127>
// CHECK-NEXT: func.return
func.func @sum(%a: tensor<1x4x4x8xi8>, %b: tensor<1x1x1x8xi8>) -> tensor<1x4x4x8xi8> {
  %m30 = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s10 = "tosa.const"() <{values = dense<10> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s31 = "tosa.const"() <{values = dense<31> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s32 = "tosa.const"() <{values = dense<32> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s49 = "tosa.const"() <{values = dense<49> : tensor<1xi8>}> : () -> tensor<1xi8>
  %ma = "tosa.const"() <{values = dense<1518500250> : tensor<1xi32>}> : () -> tensor<1xi32>
  %zp = "tosa.const"() <{values = dense<-7> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %a1 = tosa.rescale %a, %m30, %s10, %zp, %0 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x4x4x8xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x4x4x8xi32>
  %a2 = tosa.rescale %a1, %m30, %s31, %0, %0 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x4x4x8xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi32>) -> tensor<1x4x4x8xi32>
  %b1 = tosa.rescale %b, %m30, %s10, %zp, %0 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x1x1x8xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x1x1x8xi32>
  %b2 = tosa.rescale %b1, %ma, %s32, %0, %0 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x1x1x8xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi32>) -> tensor<1x1x1x8xi32>
  %c = tosa.sub %b2, %a2 : (tensor<1x1x1x8xi32>, tensor<1x4x4x8xi32>) -> tensor<1x4x4x8xi32>
  %y = tosa.rescale %c, %ma, %s49, %0, %zp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x4x4x8xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x4x4x8xi8>
  func.return %y : tensor<1x4x4x8xi8>
}

// A transposed convolution of stride 2 is one for the even and one for the odd rows, here of the bias alone, each with the
// even columns as one channel and the odd ones as another. Views interleave them.
// CHECK-LABEL: func.func @transposed
// CHECK: npu_schedule.constant dense<{{\[\[\[\[}}1]]], {{\[\[\[}}2]]]]> : tensor<2x1x1x1xi8>
// CHECK: %[[EVEN:.*]] = npu_schedule.conv2d %x, {{.*}} window <1x1> {{.*}} -> tensor<1x1x3x2xi32>
// CHECK-NEXT: %[[E:.*]] = npu_schedule.reshape %[[EVEN]] : tensor<1x1x3x2xi32> -> tensor<1x1x1x6xi32>
// CHECK: npu_schedule.constant dense<0> : tensor<2x1x1x1xi8>
// CHECK: %[[O:.*]] = npu_schedule.reshape %{{.*}} : tensor<1x1x3x2xi32> -> tensor<1x1x1x6xi32>
// CHECK-NEXT: npu_schedule.concat %[[E]], %[[O]] {axis = #npu.ints<2>}
func.func @transposed(%x: tensor<1x1x3x1xi8>) -> tensor<1x2x6x1xi32> {
  %w = "tosa.const"() <{values = dense<[[[[1], [2]]]]> : tensor<1x1x2x1xi8>}> : () -> tensor<1x1x2x1xi8>
  %b = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %y = tosa.transpose_conv2d %x, %w, %b, %zp, %zp {acc_type = i32, out_pad = array<i64: 0, 1, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x1x3x1xi8>, tensor<1x1x2x1xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x2x6x1xi32>
  func.return %y : tensor<1x2x6x1xi32>
}

// Slices and the operands of a concat are copied, always; folding these copies is another pass's business. Any axis of
// any rank is one of height, width and depth.
// CHECK-LABEL: func.func @movement
// CHECK: npu_schedule.slice {{.*}} {offsets = #npu.ints<0, 1, 0>, strides = #npu.ints<1, 1, 1>} : tensor<1x1x4x6xi8> -> tensor<1x1x2x6xi8>
// CHECK-NEXT: %[[P:.*]] = npu_schedule.copy
// CHECK-NEXT: npu_schedule.reshape %[[P]] : tensor<1x1x2x6xi8> -> tensor<2x6xi8>
// CHECK: %[[A:.*]] = npu_schedule.copy %[[P]]
// CHECK: %[[B:.*]] = npu_schedule.copy
// CHECK-NEXT: npu_schedule.concat %[[A]], %[[B]] {axis = #npu.ints<2>} : (tensor<1x1x2x6xi8>, tensor<1x1x4x6xi8>) -> tensor<1x1x6x6xi8>
func.func @movement(%x: tensor<4x6xi8>) -> (tensor<2x6xi8>, tensor<6x6xi8>) {
  %start = tosa.const_shape {values = dense<[1, 0]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<[2, 6]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %s = tosa.slice %x, %start, %size : (tensor<4x6xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x6xi8>
  %c = tosa.concat %s, %x {axis = 0 : i32} : (tensor<2x6xi8>, tensor<4x6xi8>) -> tensor<6x6xi8>
  func.return %s, %c : tensor<2x6xi8>, tensor<6x6xi8>
}

// What a region returns has memory of its own: an argument, and a value returned twice, are copied.
// CHECK-LABEL: func.func @own_results
// CHECK: %[[K:.*]] = npu_schedule.pool max
// CHECK: %[[C:.*]] = npu_schedule.copy %[[K]]
// CHECK: %[[X:.*]] = npu_schedule.copy %x
// CHECK: func.return %[[K]], %[[C]], %[[X]]
func.func @own_results(%x: tensor<1x4x4x8xi8>) -> (tensor<1x2x2x8xi8>, tensor<1x2x2x8xi8>, tensor<1x4x4x8xi8>) {
  %y = tosa.max_pool2d %x {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x4x4x8xi8>) -> tensor<1x2x2x8xi8>
  func.return %y, %y, %x : tensor<1x2x2x8xi8>, tensor<1x2x2x8xi8>, tensor<1x4x4x8xi8>
}

// An average divides by a scale a little above 1/9, so that ties go away from zero; with padding the NPU counts by itself.
// CHECK-LABEL: func.func @averages
// CHECK: npu_schedule.pool average %x window <3x3> zero_points <0, 0> scale <3817748709, shift 35, natural>
// CHECK: npu_schedule.pool average %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation
func.func @averages(%x: tensor<1x4x4x8xi8>) -> (tensor<1x2x2x8xi8>, tensor<1x4x4x8xi8>) {
  %zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %zp, %zp {acc_type = i32, kernel = array<i64: 3, 3>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x8xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x2x2x8xi8>
  %z = tosa.avg_pool2d %x, %zp, %zp {acc_type = i32, kernel = array<i64: 3, 3>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x4x4x8xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x8xi8>
  func.return %y, %z : tensor<1x2x2x8xi8>, tensor<1x4x4x8xi8>
}

// TFLite's 16-bit addition of power-of-two scales shifts the second operand to the right by 1. Doubled first, it is exact
// after the first of the two roundings, and the second has its ties away from zero.
// CHECK-LABEL: func.func @shifted_sum
// CHECK-NEXT: %[[TWO:.*]] = npu_schedule.constant dense<2> : tensor<1x1x1x1xi16>
// CHECK-NEXT: %[[B:.*]] = npu_schedule.elementwise mul %b, %[[TWO]] {{.*}} scale <1073741824, shift 32, double_round>
// CHECK-NEXT: npu_schedule.elementwise add %a, %[[B]] {{.*}} operand_scales <both 1 1> scale <1, shift 0, natural>
// CHECK-NEXT: func.return
func.func @shifted_sum(%a: tensor<1x2x2x4xi16>, %b: tensor<1x2x2x4xi16>) -> tensor<1x2x2x4xi16> {
  %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s15 = "tosa.const"() <{values = dense<15> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s30 = "tosa.const"() <{values = dense<30> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s45 = "tosa.const"() <{values = dense<45> : tensor<1xi8>}> : () -> tensor<1xi8>
  %s46 = "tosa.const"() <{values = dense<46> : tensor<1xi8>}> : () -> tensor<1xi8>
  %z16 = "tosa.const"() <{values = dense<0> : tensor<1xi16>}> : () -> tensor<1xi16>
  %z32 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %a1 = tosa.rescale %a, %m, %s15, %z16, %z32 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x2x2x4xi16>, tensor<1xi32>, tensor<1xi8>, tensor<1xi16>, tensor<1xi32>) -> tensor<1x2x2x4xi32>
  %a2 = tosa.rescale %a1, %m, %s45, %z32, %z32 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x2x2x4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi32>) -> tensor<1x2x2x4xi32>
  %b1 = tosa.rescale %b, %m, %s15, %z16, %z32 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x2x2x4xi16>, tensor<1xi32>, tensor<1xi8>, tensor<1xi16>, tensor<1xi32>) -> tensor<1x2x2x4xi32>
  %b2 = tosa.rescale %b1, %m, %s46, %z32, %z32 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x2x2x4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi32>) -> tensor<1x2x2x4xi32>
  %c = tosa.add %a2, %b2 : (tensor<1x2x2x4xi32>, tensor<1x2x2x4xi32>) -> tensor<1x2x2x4xi32>
  %y = tosa.rescale %c, %m, %s30, %z32, %z16 {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = DOUBLE_ROUND, scale32 = true} : (tensor<1x2x2x4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi16>) -> tensor<1x2x2x4xi16>
  func.return %y : tensor<1x2x2x4xi16>
}

// Two groups of axes change places: one copy, of elements that lie apart.
// CHECK-LABEL: func.func @to_channels_first
// CHECK-NEXT: npu_schedule.reshape %x : tensor<1x4x6x3xi8> -> tensor<1x24x3x1xi8>
// CHECK-NEXT: npu_schedule.transpose {{.*}} -> tensor<1x3x24x1xi8>
// CHECK-NEXT: npu_schedule.copy
// CHECK-NEXT: npu_schedule.reshape {{.*}} -> tensor<1x3x4x6xi8>
// CHECK-NEXT: func.return
func.func @to_channels_first(%x: tensor<1x4x6x3xi8>) -> tensor<1x3x4x6xi8> {
  %y = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x6x3xi8>) -> tensor<1x3x4x6xi8>
  func.return %y : tensor<1x3x4x6xi8>
}

// CHECK-LABEL: func.func @backwards
// CHECK: npu_schedule.copy
// CHECK-NEXT: npu_schedule.slice {{.*}} {offsets = #npu.ints<0, 5, 0>, strides = #npu.ints<1, -1, 1>} : tensor<1x4x6x3xi8> -> tensor<1x4x6x3xi8>
func.func @backwards(%x: tensor<1x4x6x3xi8>) -> tensor<1x4x6x3xi8> {
  %y = tosa.reverse %x {axis = 2 : i32} : (tensor<1x4x6x3xi8>) -> tensor<1x4x6x3xi8>
  func.return %y : tensor<1x4x6x3xi8>
}
