// Where the first of the greatest (or least) values is: by a key of value and place, or by what is left of the others.
// RUN: npu-opt %s -p convert-tfl-to-npu-schedule --split-input-file --verify-diagnostics | filecheck %s

// CHECK-LABEL: func.func @few
// CHECK: dense<128> : tensor<21x1x1x1xui8>
// CHECK: npu_schedule.scales {bias = dense<[20, 19, 18,
// CHECK: %[[KEY:.*]] = npu_schedule.depthwise_conv2d %x, {{.*}} zero_points <0, 0> {{.*}} -> tensor<1x4x5x21xi16>
// CHECK: %[[V:.*]] = npu_schedule.reshape %[[KEY]] : tensor<1x4x5x21xi16> -> tensor<1x20x21x1xi16>
// CHECK: %[[MAX:.*]] = npu_schedule.pool max %[[V]] window <1x21>
// CHECK: %[[LEFT:.*]] = npu_schedule.pool average {{.*}} activation <table, -32768, 32767>
// CHECK: %[[N:.*]] = npu_schedule.constant dense<20> : tensor<1x1x1x1xi16>
// CHECK: npu_schedule.elementwise sub %[[LEFT]], %[[N]] reversed {{.*}} -> tensor<1x4x5x1xi32>
func.func @few(%x: tensor<1x4x5x21x!quant.uniform<i8:f32, 0.5:-3>>) -> tensor<1x4x5xi32> {
  %axis = tfl.pseudo_const dense<3> : tensor<1xi32>
  %y = tfl.arg_max %x, %axis {output_type = "INT32"} : (tensor<1x4x5x21x!quant.uniform<i8:f32, 0.5:-3>>, tensor<1xi32>) -> tensor<1x4x5xi32>
  func.return %y : tensor<1x4x5xi32>
}

// -----

// Along the width the place is added.
// CHECK-LABEL: func.func @least_of_a_row
// CHECK: dense<-128> : tensor<3x1x1x1xi8>
// CHECK: %[[V:.*]] = npu_schedule.depthwise_conv2d
// CHECK: dense<{{.*}}[4], [3], [2], [1], [0]{{.*}}> : tensor<1x1x5x1xi16>
// CHECK: npu_schedule.elementwise add %[[V]]
// CHECK: npu_schedule.pool max {{.*}} window <1x5>
func.func @least_of_a_row(%x: tensor<1x4x5x3xi8>) -> tensor<1x4x3xi32> {
  %axis = tfl.pseudo_const dense<2> : tensor<1xi32>
  %y = tfl.arg_min %x, %axis {output_type = "INT32"} : (tensor<1x4x5x3xi8>, tensor<1xi32>) -> tensor<1x4x3xi32>
  func.return %y : tensor<1x4x3xi32>
}

// -----

// CHECK-LABEL: func.func @many
// CHECK: %[[M:.*]] = npu_schedule.pool max {{.*}} window <1x1000>
// CHECK: %[[D:.*]] = npu_schedule.elementwise sub {{.*}} operand_scales <both 32768 32768> {{.*}} activation <-32768, 0> {{.*}} -> tensor<1x1x1x1000xi16>
// CHECK: npu_schedule.elementwise add %[[D]]
// CHECK: npu_schedule.pool max {{.*}} window <1x1000>
func.func @many(%x: tensor<1x1000xi8>) -> tensor<1xi32> {
  %axis = tfl.pseudo_const dense<1> : tensor<1xi32>
  %y = tfl.arg_max %x, %axis {output_type = "INT32"} : (tensor<1x1000xi8>, tensor<1xi32>) -> tensor<1xi32>
  func.return %y : tensor<1xi32>
}

// -----

// 64 bits are two words, of which the upper one is 0.
// CHECK-LABEL: func.func @of_64_bits(%x: tensor<2x5xi8>) -> tensor<2x2xi32>
// CHECK: %[[LOW:.*]] = npu_schedule.elementwise sub
// CHECK: %[[HIGH:.*]] = npu_schedule.elementwise sub %[[LEFT:.*]], %[[LEFT]] reversed
// CHECK: npu_schedule.concat %[[LOW]], %[[HIGH]]
func.func @of_64_bits(%x: tensor<2x5xi8>) -> tensor<2xi64> {
  %axis = tfl.pseudo_const dense<1> : tensor<1xi32>
  %y = tfl.arg_max %x, %axis {output_type = "INT64"} : (tensor<2x5xi8>, tensor<1xi32>) -> tensor<2xi64>
  func.return %y : tensor<2xi64>
}

// -----

// Keys of a large map in bands of rows, one behind the other; a table and a difference of all.
// CHECK-LABEL: func.func @bands
// CHECK: %[[TOP:.*]] = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 0>
// CHECK: npu_schedule.depthwise_conv2d %[[TOP]], {{.*}} -> tensor<1x60x140x21xi16>
// CHECK: npu_schedule.pool max {{.*}} -> tensor<1x8400x1x1xi16>
// CHECK: %[[REST:.*]] = npu_schedule.slice %x {offsets = #npu.ints<60, 0, 0>
// CHECK: npu_schedule.depthwise_conv2d %[[REST]], {{.*}} -> tensor<1x60x140x21xi16>
// CHECK: npu_schedule.concat {{.*}} -> tensor<1x120x140x1xi16>
func.func @bands(%x: tensor<1x120x140x21xi8>) -> tensor<1x120x140xi32> {
  %axis = tfl.pseudo_const dense<3> : tensor<1xi32>
  %y = tfl.arg_max %x, %axis {output_type = "INT32"} : (tensor<1x120x140x21xi8>, tensor<1xi32>) -> tensor<1x120x140xi32>
  func.return %y : tensor<1x120x140xi32>
}

// -----

// Where it is quicker the place is a convolution of the key: one kernel for both words.
// CHECK-LABEL: func.func @weighed
// CHECK: npu_schedule.constant dense<{{.*}}[-1]{{.*}}[0]{{.*}}> : tensor<2x1x1x1xi8>
// CHECK: npu_schedule.scales {bias = dense<[20, 0]>
// CHECK: npu_schedule.conv2d {{.*}} -> tensor<1x70x60x2xi32>
module attributes {npu.target = #npu.target<"ethos-u55-256">} {
  func.func @weighed(%x: tensor<1x60x70x21xi8>) -> tensor<1x60x70xi64> {
    %axis = tfl.pseudo_const dense<3> : tensor<1xi32>
    %y = tfl.arg_max %x, %axis {output_type = "INT64"} : (tensor<1x60x70x21xi8>, tensor<1xi32>) -> tensor<1x60x70xi64>
    func.return %y : tensor<1x60x70xi64>
  }
}

// -----

// CHECK: 'tfl.arg_max': ARG_MAX must be of 2 to 32768 values
func.func @too_many(%x: tensor<1x40000xi8>) -> tensor<1xi32> {
  %axis = tfl.pseudo_const dense<1> : tensor<1xi32>
  %y = tfl.arg_max %x, %axis {output_type = "INT32"} : (tensor<1x40000xi8>, tensor<1xi32>) -> tensor<1xi32>
  func.return %y : tensor<1xi32>
}
