// RUN: npu-opt %s -p tfl-drop-float-borders --split-input-file | filecheck %s

// CHECK-LABEL: func.func @borders
// CHECK-SAME:    (%[[X:.*]]: tensor<1x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    %[[Y:.*]] = tfl.tanh %[[X]]
// CHECK-NEXT:    return %[[Y]]
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x8x!quant.uniform<i8:f32, 0.25>>
func.func @borders(%x: !f) -> !f {
  %0 = tfl.quantize %x : (!f) -> !q
  %1 = tfl.tanh %0 : (!q) -> !r
  %2 = tfl.builtin %1 {operator = "DEQUANTIZE"} : (!r) -> !f
  return %2 : !f
}

// -----

// An input that is read as floats as well, a result that others read, and one that would be an input stay as they are.

// CHECK-LABEL: func.func @others
// CHECK-SAME:    tensor<1x8xf32>, %{{.*}}: tensor<1x8x!quant{{[^)]*}}) -> (tensor<1x8xf32>, tensor<1x8xf32>, tensor<1x8xf32>)
// CHECK:         tfl.quantize
// CHECK:         operator = "DEQUANTIZE"
// CHECK:         operator = "DEQUANTIZE"
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
func.func @others(%x: !f, %y: !q) -> (!f, !f, !f) {
  %0 = tfl.quantize %x : (!f) -> !q
  %1 = tfl.tanh %0 : (!q) -> !q
  %2 = tfl.builtin %1 {operator = "DEQUANTIZE"} : (!q) -> !f
  %3 = tfl.add %2, %x : (!f, !f) -> !f
  %4 = tfl.builtin %y {operator = "DEQUANTIZE"} : (!q) -> !f
  return %2, %3, %4 : !f, !f, !f
}
