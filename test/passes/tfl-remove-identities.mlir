// RUN: npu-opt %s -p tfl-remove-identities --split-input-file | filecheck %s

// Nothing is left of a chain that ends in its own operand, nor of what nobody reads.

// CHECK-LABEL: func.func @chain
// CHECK-NEXT:    %[[Y:.*]] = tfl.tanh
// CHECK-NEXT:    return %[[Y]]
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.0078125>>
!r = tensor<1x16x8x!quant.uniform<i8:f32, 0.0078125>>
func.func @chain(%x: !t) -> !t {
  %there = tfl.pseudo_const dense<[1, 16, 8]> : tensor<3xi32>
  %back = tfl.pseudo_const dense<[1, 4, 4, 8]> : tensor<4xi32>
  %0 = tfl.reshape %x, %there : (!t, tensor<3xi32>) -> !r
  %1 = tfl.reshape %0, %back : (!r, tensor<4xi32>) -> !t
  %2 = tfl.concatenation %1 {axis = 3 : i32} : (!t) -> !t
  %3 = tfl.tanh %2 : (!t) -> !t
  %4 = tfl.builtin %3 {operator = "COS"} : (!t) -> !t
  return %3 : !t
}

// -----

// What is returned keeps its name; where no operator can take it over, the identity stays.

// RUN: npu-opt %s -p tfl-remove-identities --split-input-file --print-debuginfo | filecheck %s --check-prefix=NAMES
// NAMES-LABEL: func.func @names
// NAMES-NEXT:    %[[Y:.*]] = tfl.tanh {{.*}} loc("result")
// NAMES-NEXT:    %[[Z:.*]] = tfl.quantize {{.*}} loc("copy")
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.0078125>>
func.func @names(%x: !t) -> (!t, !t) {
  %0 = tfl.tanh %x : (!t) -> !t loc("inner")
  %1 = tfl.quantize %0 : (!t) -> !t loc("result")
  %2 = tfl.quantize %x : (!t) -> !t loc("copy")
  return %1, %2 : !t, !t
}

// -----

// Operands without elements, and operators that only seem to change nothing.

// CHECK-LABEL: func.func @others
// CHECK-NOT:     tfl.concatenation
// CHECK:         tfl.strided_slice
// CHECK-NEXT:    tfl.transpose
// CHECK-NEXT:    tfl.max_pool_2d
// CHECK-NEXT:    return
!e = tensor<1x0x4x8x!quant.uniform<i8:f32, 0.5>>
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
func.func @others(%x: !t, %e: !e) -> (!t, !t, !t) {
  %zero = tfl.pseudo_const dense<0> : tensor<4xi32>
  %turn = tfl.pseudo_const dense<[1, -1, 1, 1]> : tensor<4xi32>
  %axes = tfl.pseudo_const dense<[0, -2, 1, 3]> : tensor<4xi32>
  %0 = tfl.concatenation %e, %x {axis = 1 : i32} : (!e, !t) -> !t
  %1 = tfl.strided_slice %0, %zero, %zero, %turn {begin_mask = 15 : i32, end_mask = 15 : i32} : (!t, tensor<4xi32>, tensor<4xi32>, tensor<4xi32>) -> !t
  %2 = tfl.transpose %0, %axes : (!t, tensor<4xi32>) -> !t
  %3 = tfl.max_pool_2d %0 {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 2 : i32, filter_width = 2 : i32} : (!t) -> !t
  return %1, %2, %3 : !t, !t, !t
}

// -----

// CHECK-LABEL: func.func @no_permutation
// CHECK:         tfl.transpose
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
func.func @no_permutation(%x: !t) -> !t {
  %axes = tfl.pseudo_const dense<[0, 1, 2, 9]> : tensor<4xi32>
  %0 = tfl.transpose %x, %axes : (!t, tensor<4xi32>) -> !t
  return %0 : !t
}

// -----

// Corners aligned and centres of pixels at a half: each element is the next one.

// CHECK-LABEL: func.func @resized
// CHECK-NEXT:    %[[SIZE:.*]] = tfl.pseudo_const
// CHECK-NEXT:    %[[Y:.*]] = tfl.resize_nearest_neighbor %{{.*}}, %[[SIZE]] {align_corners = true, half_pixel_centers = true}
// CHECK-NEXT:    %[[Z:.*]] = tfl.tanh %[[Y]]
// CHECK-NEXT:    return %[[Z]]
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.0078125>>
func.func @resized(%x: !t) -> !t {
  %size = tfl.pseudo_const dense<4> : tensor<2xi32>
  %0 = tfl.resize_nearest_neighbor %x, %size {align_corners = false, half_pixel_centers = true} : (!t, tensor<2xi32>) -> !t
  %1 = tfl.resize_nearest_neighbor %0, %size {align_corners = true, half_pixel_centers = true} : (!t, tensor<2xi32>) -> !t
  %2 = tfl.tanh %1 : (!t) -> !t
  return %2 : !t
}
