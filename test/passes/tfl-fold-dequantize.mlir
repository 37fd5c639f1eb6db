// RUN: npu-opt %s -p tfl-fold-dequantize --split-input-file | filecheck %s

// The same in integers: 0.5 to 0.25 is exact either way.

// CHECK-LABEL: func.func @rescaled
// CHECK-NEXT:    %[[Y:.*]] = tfl.quantize %{{.*}} : (tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8x!quant.uniform<u8:f32, 0.25:128>>
// CHECK-NEXT:    return %[[Y]]
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
!r = tensor<1x8x!quant.uniform<u8:f32, 0.25:128>>
func.func @rescaled(%x: !q) -> !r {
  %0 = tfl.builtin %x {operator = "DEQUANTIZE"} : (!q) -> !f
  %1 = tfl.quantize %0 : (!f) -> !r
  return %1 : !r
}

// -----

// Half of -1 is a tie, which integers round up and floats away from zero; who else reads the floats still can.

// CHECK-LABEL: func.func @ties
// CHECK-NEXT:    %[[F:.*]] = tfl.builtin %{{.*}} {operator = "DEQUANTIZE"}
// CHECK-NEXT:    %[[Y:.*]] = tfl.quantize %{{.*}} {npu.through_float = []} : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x!quant.uniform<i8:f32, 1.0>>
// CHECK-NEXT:    return %[[Y]], %[[F]]
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x8x!quant.uniform<i8:f32, 1.0>>
func.func @ties(%x: !q) -> (!r, !f) {
  %0 = tfl.builtin %x {operator = "DEQUANTIZE"} : (!q) -> !f
  %1 = tfl.quantize %0 : (!f) -> !r
  return %1, %0 : !r, !f
}

// -----

// There is no table of 65536 entries.

// CHECK-LABEL: func.func @words
// CHECK-NEXT:    tfl.builtin
// CHECK-NEXT:    tfl.quantize %{{.*}} : (tensor<1x8xf32>)
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i16:f32, 0.5>>
!r = tensor<1x8x!quant.uniform<i16:f32, 1.0>>
func.func @words(%x: !q) -> !r {
  %0 = tfl.builtin %x {operator = "DEQUANTIZE"} : (!q) -> !f
  %1 = tfl.quantize %0 : (!f) -> !r
  return %1 : !r
}

// -----

// What comes between goes with it: a function of one element becomes part of the table, what moves elements moves integers.

// CHECK-LABEL: func.func @between
// CHECK-NEXT:    %[[A:.*]] = tfl.quantize %{{.*}} {npu.through_float = ["SQUARE", "NEG"]} : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.25:3>>
// CHECK-NEXT:    %[[B:.*]] = tfl.quantize %{{.*}} : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.25:3>>
// CHECK-NEXT:    %[[Y:.*]] = tfl.concatenation %[[A]], %[[B]] {axis = 1 : i32} : {{.*}} -> tensor<1x16x!quant.uniform<i8:f32, 0.25:3>>
// CHECK-NEXT:    return %[[Y]]
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x16x!quant.uniform<i8:f32, 0.25:3>>
func.func @between(%x: !q) -> !r {
  %0 = tfl.builtin %x {operator = "DEQUANTIZE"} : (!q) -> !f
  %1 = tfl.builtin %0 {operator = "SQUARE"} : (!f) -> !f
  %2 = tfl.neg %1 : (!f) -> !f
  %3 = tfl.concatenation %2, %0 {axis = 1 : i32} : (!f, !f) -> tensor<1x16xf32>
  %4 = tfl.quantize %3 : (tensor<1x16xf32>) -> !r
  return %4 : !r
}

// -----

// The root of what may be negative is no number, and the exponential depends on a library.

// CHECK-LABEL: func.func @unknown
// CHECK-NEXT:    tfl.builtin
// CHECK-NEXT:    tfl.sqrt
// CHECK-NEXT:    tfl.exp
// CHECK-NEXT:    tfl.quantize %{{.*}} : (tensor<1x8xf32>)
// CHECK-NEXT:    tfl.quantize %{{.*}} : (tensor<1x8xf32>)
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
func.func @unknown(%x: !q) -> (!q, !q) {
  %0 = tfl.builtin %x {operator = "DEQUANTIZE"} : (!q) -> !f
  %1 = tfl.sqrt %0 : (!f) -> !f
  %2 = tfl.exp %0 : (!f) -> !f
  %3 = tfl.quantize %1 : (!f) -> !q
  %4 = tfl.quantize %2 : (!f) -> !q
  return %3, %4 : !q, !q
}
