// tfl operations as integer arithmetic. quant.scast stands where a quantised value meets its integers.
// RUN: npu-opt %s -p convert-tfl-to-tosa | filecheck %s

// A convolution: zero points, multipliers and shifts become operands; 8 bit rounds twice; RELU6 is a clamp to
// 6 / 0.1 - 28 = 32, and -28 is its least value.
// CHECK-LABEL: func.func @conv
// CHECK:      [[X:%.*]] = quant.scast {{.*}} to tensor<1x4x4x2xi8>
// CHECK:      "tosa.const"() <{values = dense<5> : tensor<1xi8>}>
// CHECK:      [[A:%.*]] = tosa.conv2d [[X]], {{.*}} {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : {{.*}} -> tensor<1x4x4x2xi32>
// 0.5 * 0.25 / 0.1 and 0.5 * 0.5 / 0.1, as multiples of 2**-30 and 2**-29
// CHECK:      "tosa.const"() <{values = dense<1342177260> : tensor<2xi32>}>
// CHECK:      "tosa.const"() <{values = dense<[30, 29]> : tensor<2xi8>}>
// CHECK:      [[Y:%.*]] = tosa.rescale [[A]], {{.*}} per_channel = true, rounding_mode = DOUBLE_ROUND, scale32 = true}
// CHECK:      tosa.clamp [[Y]] {max_val = 32 : i8, min_val = -28 : i8}
func.func @conv(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.1:-28>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x3x3x2xi8> -> tensor<2x3x3x2x!quant.uniform<i8:f32:0, {0.25, 0.5}>>
  %b = tfl.pseudo_qconst dense<[7, -7]> : tensor<2xi32> -> tensor<2x!quant.uniform<i32:f32:0, {0.125, 0.25}>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, fused_activation_function = "RELU6"} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>, tensor<2x3x3x2x!quant.uniform<i8:f32:0, {0.25, 0.5}>>, tensor<2x!quant.uniform<i32:f32:0, {0.125, 0.25}>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.1:-28>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.1:-28>>
}

// TOSA wants the last window at the edge: TFLite's 1x1 convolution of stride 2 leaves a row and a column over.
// CHECK-LABEL: func.func @left_over
// CHECK:      [[T:%.*]] = tosa.slice {{.*}} -> tensor<1x3x3x2xi8>
// CHECK:      tosa.conv2d [[T]], {{.*}} pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>}
func.func @left_over(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>) -> tensor<1x2x2x1x!quant.uniform<i8:f32, 1.0>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x1x1x2xi8> -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<7> : tensor<1xi32> -> tensor<1x!quant.uniform<i32:f32, 0.25>>
  %y = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 2 : i32, stride_w = 2 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>, tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>>, tensor<1x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x2x2x1x!quant.uniform<i8:f32, 1.0>>
  func.return %y : tensor<1x2x2x1x!quant.uniform<i8:f32, 1.0>>
}

// 16-bit values accumulate in 48 bits and are scaled by 16-bit multipliers, rounded once.
// CHECK-LABEL: func.func @depthwise_16
// CHECK:      "tosa.const"() <{values = dense<9> : tensor<4xi48>}>
// CHECK:      [[A:%.*]] = tosa.depthwise_conv2d {{.*}} {acc_type = i48, {{.*}} : (tensor<1x4x4x2xi16>, tensor<3x3x2x2xi8>, tensor<4xi48>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x2x2x4xi48>
// CHECK:      tosa.rescale [[A]], {{.*}} rounding_mode = SINGLE_ROUND, scale32 = false} : (tensor<1x2x2x4xi48>, tensor<1xi16>, tensor<1xi8>, tensor<1xi48>, tensor<1xi16>) -> tensor<1x2x2x4xi16>
func.func @depthwise_16(%x: tensor<1x4x4x2x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x2x2x4x!quant.uniform<i16:f32, 1.0>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x3x3x4xi8> -> tensor<1x3x3x4x!quant.uniform<i8:f32, 0.5>>
  %b = tfl.pseudo_qconst dense<9> : tensor<4xi64> -> tensor<4x!quant.uniform<i64:f32, 0.25>>
  %y = tfl.depthwise_conv_2d %x, %w, %b {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32, depth_multiplier = 2 : i32} : (tensor<1x4x4x2x!quant.uniform<i16:f32, 0.5>>, tensor<1x3x3x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i64:f32, 0.25>>) -> tensor<1x2x2x4x!quant.uniform<i16:f32, 1.0>>
  func.return %y : tensor<1x2x2x4x!quant.uniform<i16:f32, 1.0>>
}

// An unsigned network stays unsigned. FULLY_CONNECTED is a 1x1 convolution and rounds once.
// CHECK-LABEL: func.func @fully_connected_unsigned
// CHECK:      tosa.reshape {{.*}} -> tensor<1x1x3x4xui8>
// CHECK:      tosa.conv2d {{.*}} : (tensor<1x1x3x4xui8>, tensor<2x1x1x4xui8>, tensor<2xi32>, tensor<1xui8>, tensor<1xui8>) -> tensor<1x1x3x2xi32>
// CHECK:      tosa.rescale {{.*}} {input_unsigned = false, output_unsigned = true, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true}
// CHECK:      tosa.reshape {{.*}} -> tensor<3x2xui8>
func.func @fully_connected_unsigned(%x: tensor<3x4x!quant.uniform<u8:f32, 0.5:128>>) -> tensor<3x2x!quant.uniform<u8:f32, 1.0:100>> {
  %w = tfl.pseudo_qconst dense<1> : tensor<2x4xui8> -> tensor<2x4x!quant.uniform<u8:f32, 0.5:130>>
  %y = tfl.fully_connected %x, %w : (tensor<3x4x!quant.uniform<u8:f32, 0.5:128>>, tensor<2x4x!quant.uniform<u8:f32, 0.5:130>>) -> tensor<3x2x!quant.uniform<u8:f32, 1.0:100>>
  func.return %y : tensor<3x2x!quant.uniform<u8:f32, 1.0:100>>
}

// ADD: both operands shifted left by 20 and scaled by their part of twice the greater scale, the sum scaled back.
// Here the first has the greater scale: its 2**30 >> 31 is a half.
// CHECK-LABEL: func.func @add
// CHECK:      [[UNIT:%.*]] = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}>
// CHECK:      [[TEN:%.*]] = "tosa.const"() <{values = dense<10> : tensor<1xi8>}>
// CHECK:      [[A:%.*]] = tosa.rescale {{.*}}, [[UNIT]], [[TEN]], {{.*}} rounding_mode = SINGLE_ROUND, {{.*}} -> tensor<4xi32>
// CHECK:      [[S:%.*]] = "tosa.const"() <{values = dense<31> : tensor<1xi8>}>
// CHECK:      [[A2:%.*]] = tosa.rescale [[A]], [[UNIT]], [[S]], {{.*}} rounding_mode = DOUBLE_ROUND, {{.*}} -> tensor<4xi32>
// CHECK:      [[B:%.*]] = tosa.rescale {{.*}}, [[UNIT]], [[TEN]], {{.*}} rounding_mode = SINGLE_ROUND, {{.*}} -> tensor<4xi32>
// CHECK:      [[M:%.*]] = "tosa.const"() <{values = dense<1288490240> : tensor<1xi32>}>
// CHECK:      [[B2:%.*]] = tosa.rescale [[B]], [[M]], {{.*}} rounding_mode = DOUBLE_ROUND, {{.*}} -> tensor<4xi32>
// CHECK:      [[C:%.*]] = tosa.add [[A2]], [[B2]]
// CHECK:      tosa.rescale [[C]], {{.*}} rounding_mode = DOUBLE_ROUND, {{.*}} -> tensor<4xi8>
func.func @add(%a: tensor<4x!quant.uniform<i8:f32, 0.5:5>>, %b: tensor<4x!quant.uniform<i8:f32, 0.3:-5>>) -> tensor<4x!quant.uniform<i8:f32, 0.7>> {
  %y = tfl.add %a, %b : (tensor<4x!quant.uniform<i8:f32, 0.5:5>>, tensor<4x!quant.uniform<i8:f32, 0.3:-5>>) -> tensor<4x!quant.uniform<i8:f32, 0.7>>
  func.return %y : tensor<4x!quant.uniform<i8:f32, 0.7>>
}

// MUL takes the zero points off first; the product of the scales does the rest. TOSA wants equal ranks.
// CHECK-LABEL: func.func @mul
// CHECK:      [[B:%.*]] = tosa.reshape {{.*}} -> tensor<1x4xi8>
// CHECK:      tosa.mul {{.*}} : (tensor<2x4xi32>, tensor<1x4xi32>, tensor<1xi8>) -> tensor<2x4xi32>
// CHECK:      tosa.rescale {{.*}} rounding_mode = DOUBLE_ROUND
func.func @mul(%a: tensor<2x4x!quant.uniform<i8:f32, 0.5:5>>, %b: tensor<4x!quant.uniform<i8:f32, 0.3:-5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.7>> {
  %y = tfl.mul %a, %b : (tensor<2x4x!quant.uniform<i8:f32, 0.5:5>>, tensor<4x!quant.uniform<i8:f32, 0.3:-5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.7>>
  func.return %y : tensor<2x4x!quant.uniform<i8:f32, 0.7>>
}

// The mean is one of stored values, so the zero points are 0 whatever the quantisation says.
// CHECK-LABEL: func.func @average
// CHECK:      [[ZERO:%.*]] = "tosa.const"() <{values = dense<0> : tensor<1xi8>}>
// CHECK:      tosa.avg_pool2d {{.*}}, [[ZERO]], [[ZERO]] {acc_type = i32, kernel = array<i64: 3, 3>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>}
func.func @average(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>> {
  %y = tfl.average_pool_2d %x {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 3 : i32, filter_width = 3 : i32} : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>
  func.return %y : tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5:5>>
}

// 8-bit functions are tables, LEAKY_RELU among them; on 16 bit it is the greater of two values.
// CHECK-LABEL: func.func @functions
// CHECK:      tosa.table {{.*}} : (tensor<4xi8>, tensor<256xi8>) -> tensor<4xi8>
// CHECK:      tosa.table {{.*}} : (tensor<4xi8>, tensor<256xi8>) -> tensor<4xi8>
// CHECK:      [[X:%.*]] = quant.scast %b
// CHECK:      [[L:%.*]] = tosa.rescale [[X]], {{.*}} -> tensor<4xi16>
// CHECK:      tosa.maximum [[X]], [[L]] : (tensor<4xi16>, tensor<4xi16>) -> tensor<4xi16>
func.func @functions(%a: tensor<4x!quant.uniform<i8:f32, 0.1:5>>, %b: tensor<4x!quant.uniform<i16:f32, 0.5>>) -> (tensor<4x!quant.uniform<i8:f32, 0.1>>, tensor<4x!quant.uniform<i16:f32, 0.5>>) {
  %s = tfl.logistic %a : (tensor<4x!quant.uniform<i8:f32, 0.1:5>>) -> tensor<4x!quant.uniform<i8:f32, 0.00390625:-128>>
  %0 = tfl.leaky_relu %s {alpha = 0.2 : f32} : (tensor<4x!quant.uniform<i8:f32, 0.00390625:-128>>) -> tensor<4x!quant.uniform<i8:f32, 0.1>>
  %1 = tfl.leaky_relu %b {alpha = 0.2 : f32} : (tensor<4x!quant.uniform<i16:f32, 0.5>>) -> tensor<4x!quant.uniform<i16:f32, 0.5>>
  func.return %0, %1 : tensor<4x!quant.uniform<i8:f32, 0.1>>, tensor<4x!quant.uniform<i16:f32, 0.5>>
}

// The box around all that is taken, then every second row, and every second column.
// CHECK-LABEL: func.func @strided_slice
// CHECK:      [[P:%.*]] = tosa.slice {{.*}} -> tensor<1x5x3x2xi8>
// CHECK:      [[V:%.*]] = tosa.reshape [[P]], {{.*}} -> tensor<1x5x6xi8>
// CHECK:      tosa.gather [[V]], {{.*}} : (tensor<1x5x6xi8>, tensor<1x3xi32>) -> tensor<1x3x6xi8>
// CHECK:      tosa.gather {{.*}} : (tensor<3x3x2xi8>, tensor<3x2xi32>) -> tensor<3x2x2xi8>
func.func @strided_slice(%x: tensor<1x6x5x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x3x2x2x!quant.uniform<i8:f32, 0.5>> {
  %begin = tfl.pseudo_const dense<[0, 1, 1, 0]> : tensor<4xi32>
  %end = tfl.pseudo_const dense<[1, 6, -1, 2]> : tensor<4xi32>
  %steps = tfl.pseudo_const dense<[1, 2, 2, 1]> : tensor<4xi32>
  %y = tfl.strided_slice %x, %begin, %end, %steps : (tensor<1x6x5x2x!quant.uniform<i8:f32, 0.5>>, tensor<4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<1x3x2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x3x2x2x!quant.uniform<i8:f32, 0.5>>
}

// SOFTMAX would be shattered: it stays, between its neighbours, and reads the quantised value again.
// CHECK-LABEL: func.func @stays
// CHECK:      [[R:%.*]] = tosa.rescale
// CHECK:      [[Q:%.*]] = quant.scast [[R]] : tensor<1x4xi8> to tensor<1x4x!quant.uniform<i8:f32, 0.5>>
// CHECK:      tfl.softmax [[Q]]
func.func @stays(%x: tensor<1x4x!quant.uniform<i8:f32, 0.1>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.00390625:-128>> {
  %q = tfl.quantize %x : (tensor<1x4x!quant.uniform<i8:f32, 0.1>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.5>>
  %y = tfl.softmax %q : (tensor<1x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.00390625:-128>>
  func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.00390625:-128>>
}
