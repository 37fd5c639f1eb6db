// RUN: npu-opt %s --split-input-file | npu-opt --split-input-file | filecheck %s
// RUN: npu-opt %s --split-input-file --print-op-generic | npu-opt --split-input-file | filecheck %s

// An operator has TFLite's operands in TFLite's order, constants among them, and its options under the schema's names.
// What has its usual value is not written: no activation, dilation 1.

// CHECK-LABEL: func.func @convolution
// CHECK-NEXT:    %[[W:.*]] = tfl.pseudo_qconst dense<1> : tensor<8x1x1x3xi8> -> tensor<8x1x1x3x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    %[[B:.*]] = tfl.pseudo_qconst dense<7> : tensor<8xi32> -> tensor<8x!quant.uniform<i32:f32, 0.125>>
// CHECK-NEXT:    tfl.conv_2d %{{.*}}, %[[W]], %[[B]] {padding = "SAME", stride_h = 2 : i32, stride_w = 2 : i32, fused_activation_function = "RELU6"} :
// CHECK-NEXT:    tfl.conv_2d %{{.*}}, %[[W]] {padding = "VALID", stride_h = 2 : i32, stride_w = 2 : i32, dilation_h_factor = 3 : i32} :
!x = tensor<1x4x4x3x!quant.uniform<i8:f32, 0.5:-128>>
!w = tensor<8x1x1x3x!quant.uniform<i8:f32, 0.25>>
!b = tensor<8x!quant.uniform<i32:f32, 0.125>>
!y = tensor<1x2x2x8x!quant.uniform<i8:f32, 0.5:-128>>
func.func @convolution(%x: !x) -> (!y, !y) {
  %w = tfl.pseudo_qconst dense<1> : tensor<8x1x1x3xi8> -> !w
  %b = tfl.pseudo_qconst dense<7> : tensor<8xi32> -> !b
  %0 = tfl.conv_2d %x, %w, %b {padding = "SAME", stride_h = 2 : i32, stride_w = 2 : i32, fused_activation_function = "RELU6"} : (!x, !w, !b) -> !y
  %1 = tfl.conv_2d %x, %w {padding = "VALID", stride_h = 2 : i32, stride_w = 2 : i32, dilation_h_factor = 3 : i32, dilation_w_factor = 1 : i32} : (!x, !w) -> !y
  return %0, %1 : !y, !y
}

// -----

// Constants, and what stands where there is none.

// CHECK-LABEL: func.func @constants
// CHECK-NEXT:    tfl.pseudo_const dense<[1, -1]> : tensor<2xi32>
// CHECK-NEXT:    tfl.pseudo_const dense<[255, 0]> : tensor<2xui8>
// CHECK-NEXT:    tfl.pseudo_const #tfl.const_bytes<"0x0100000068690A"> -> tensor<1x!tfl.opaque<STRING>>
// CHECK-NEXT:    tfl.no_value : () -> none
// CHECK-NEXT:    tfl.pseudo_tensor {is_variable} : () -> tensor<1x40xi16>
// CHECK-NEXT:    tfl.pseudo_tensor {tfl.tensors = [{arena_offset = 16 : i64}]} : () -> tensor<64xui8>
func.func @constants() {
  %0 = tfl.pseudo_const dense<[1, -1]> : tensor<2xi32>
  %1 = tfl.pseudo_const dense<[255, 0]> : tensor<2xui8>
  %2 = tfl.pseudo_const #tfl.const_bytes<"0x0100000068690a"> -> tensor<1x!tfl.opaque<STRING>>
  %4 = tfl.no_value : () -> none
  %5 = tfl.pseudo_tensor {is_variable} : () -> tensor<1x40xi16>
  %6 = tfl.pseudo_tensor {tfl.tensors = [{arena_offset = 16 : i64}]} : () -> tensor<64xui8>
  return
}

// -----

// Operators without a class keep their name and options; other people's keep their bytes.

// CHECK-LABEL: func.func @others
// CHECK-NEXT:    tfl.builtin %{{.*}} {operator = "CAST", options = {in_data_type = "INT8", out_data_type = "FLOAT32"}} :
// CHECK-NEXT:    tfl.builtin %{{.*}}, %{{.*}} {operator = "WHILE", options = {cond_subgraph_index = @others, body_subgraph_index = @others}} :
// CHECK-NEXT:    tfl.custom %{{.*}} {custom_code = "ethos-u", custom_option = #tfl.const_bytes<"0x010401">, tfl.version = 2 : i32} :
func.func @others(%x: tensor<4xi8>) {
  %0 = tfl.builtin %x {operator = "CAST", options = {in_data_type = "INT8", out_data_type = "FLOAT32"}} : (tensor<4xi8>) -> tensor<4xf32>
  %1, %2 = tfl.builtin %x, %0 {operator = "WHILE", options = {cond_subgraph_index = @others, body_subgraph_index = @others}} : (tensor<4xi8>, tensor<4xf32>) -> (tensor<4xi8>, tensor<4xf32>)
  tfl.custom %x {custom_code = "ethos-u", custom_option = #tfl.const_bytes<"0x010401">, tfl.version = 2 : i32} : (tensor<4xi8>) -> ()
  return
}
