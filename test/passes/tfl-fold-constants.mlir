// RUN: npu-opt %s -p tfl-fold-constants --split-input-file | filecheck %s

// A Keras model with an open batch: the batch is the 1 of the file, so that the shape is known. Signatures go.

// CHECK-LABEL: func.func @open_batch
// CHECK-SAME:    %[[X:.*]]: tensor<1x6x6x8x!quant{{[^{]*}} -> tensor<1x288x
// CHECK-NEXT:    %[[S:.*]] = tfl.pseudo_const dense<[1, 288]> : tensor<2xi32>
// CHECK-NEXT:    tfl.reshape %[[X]], %[[S]] : {{.*}} -> tensor<1x288x
// CHECK-NEXT:    return
!t = tensor<1x6x6x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x288x!quant.uniform<i8:f32, 0.5>>
func.func @open_batch(%x: !t {tfl.tensor = {shape_signature = array<i32: -1, 6, 6, 8>}}) -> !r {
  %zero = tfl.pseudo_const dense<0> : tensor<1xi32>
  %one = tfl.pseudo_const dense<1> : tensor<1xi32>
  %size = tfl.pseudo_const dense<288> : tensor<i32>
  %0 = tfl.builtin %x {operator = "SHAPE", options = {out_type = "INT32"}} : (!t) -> tensor<4xi32>
  %1 = tfl.strided_slice %0, %zero, %one, %one {shrink_axis_mask = 1 : i32} : (tensor<4xi32>, tensor<1xi32>, tensor<1xi32>, tensor<1xi32>) -> tensor<i32>
  %2 = tfl.builtin %1, %size {operator = "PACK", options = {values_count = 2 : i32, axis = 0 : i32}} : (tensor<i32>, tensor<i32>) -> tensor<2xi32>
  %3 = tfl.reshape %x, %2 {tfl.tensors = [{shape_signature = array<i32: -1, 288>}]} : (!t, tensor<2xi32>) -> !r
  return %3 : !r
}

// -----

// The converter writes 1 for each dimension that it does not know; the operators say what they are.

// CHECK-LABEL: func.func @unknown_to_the_converter
// CHECK:         tfl.reshape {{.*}} -> tensor<1x24x8x
// CHECK-NEXT:    tfl.logistic %{{.*}} : {{.*}} -> tensor<1x24x8x
!t = tensor<1x4x6x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x1x8x!quant.uniform<i8:f32, 0.5>>
!l = tensor<1x1x8x!quant.uniform<i8:f32, 0.00390625:-128>>
func.func @unknown_to_the_converter(%x: !t {tfl.tensor = {shape_signature = array<i32: -1, 4, 6, 8>}}) -> !l {
  %shape = tfl.pseudo_const dense<[1, -1, 8]> : tensor<3xi32>
  %0 = tfl.reshape %x, %shape {tfl.tensors = [{shape_signature = array<i32: -1, -1, 8>}]} : (!t, tensor<3xi32>) -> !r
  %1 = tfl.logistic %0 {tfl.tensors = [{shape_signature = array<i32: -1, -1, 8>}]} : (!r) -> !l
  return %1 : !l
}

// -----

// A height that is open is no batch: all that follows from it is open.

// CHECK-LABEL: func.func @open_height
// CHECK-SAME:    shape_signature = array<i32: 1, -1, 6, 8>
// CHECK:         operator = "SHAPE"
// CHECK:         tfl.relu {{.*}}shape_signature = array<i32: -1, -1, -1, -1>
!t = tensor<1x1x6x8x!quant.uniform<i8:f32, 0.5>>
func.func @open_height(%x: !t {tfl.tensor = {shape_signature = array<i32: 1, -1, 6, 8>}}) -> (tensor<4xi32>, !t) {
  %0 = tfl.builtin %x {operator = "SHAPE", options = {out_type = "INT32"}} : (!t) -> tensor<4xi32>
  %1 = tfl.relu %x {tfl.tensors = [{shape_signature = array<i32: 1, -1, 6, 8>}]} : (!t) -> !t
  return %0, %1 : tensor<4xi32>, !t
}

// -----

// Weights that are moved, or computed, are constants; a result of the network is made by its operator.

// CHECK-LABEL: func.func @weights
// CHECK-NEXT:    %[[W:.*]] = tfl.pseudo_qconst dense<{{\[\[}}1, 3], [2, 4]]>
// CHECK-NEXT:    tfl.fully_connected %{{.*}}, %[[W]]
// CHECK:         operator = "SHAPE"
!t = tensor<1x2x!quant.uniform<i8:f32, 0.5>>
!w = tensor<2x2x!quant.uniform<i8:f32, 0.5>>
func.func @weights(%x: !t) -> (!t, tensor<2xi32>) {
  %w = tfl.pseudo_qconst dense<[[1, 2], [3, 4]]> : tensor<2x2xi8> -> !w
  %p = tfl.pseudo_const dense<[1, 0]> : tensor<2xi32>
  %0 = tfl.builtin %w, %p {operator = "TRANSPOSE"} : (!w, tensor<2xi32>) -> !w
  %1 = tfl.fully_connected %x, %0 : (!t, !w) -> !t
  %2 = tfl.builtin %x {operator = "SHAPE", options = {out_type = "INT32"}} : (!t) -> tensor<2xi32>
  return %1, %2 : !t, tensor<2xi32>
}

// -----

// CHECK-LABEL: func.func @computed
// CHECK-NEXT:    %[[C:.*]] = tfl.pseudo_qconst dense<[4, 6]> : tensor<2xi8>
// CHECK-NEXT:    tfl.add %{{.*}}, %[[C]]
!t = tensor<1x2x!quant.uniform<i8:f32, 0.5>>
!c = tensor<2x!quant.uniform<i8:f32, 0.5>>
func.func @computed(%x: !t) -> !t {
  %a = tfl.pseudo_qconst dense<[1, 2]> : tensor<2xi8> -> !c
  %b = tfl.pseudo_qconst dense<[3, 4]> : tensor<2xi8> -> !c
  %0 = tfl.add %a, %b : (!c, !c) -> !c
  %1 = tfl.add %x, %0 : (!t, !c) -> !t
  return %1 : !t
}

// -----

// What would be much larger than its operands is not even computed.

// CHECK-LABEL: func.func @much_larger
// CHECK:         tfl.builtin {{.*}}"FILL"
func.func @much_larger() -> tensor<65536x65536xi32> {
  %sizes = tfl.pseudo_const dense<65536> : tensor<2xi32>
  %7 = tfl.pseudo_const dense<7> : tensor<i32>
  %0 = tfl.builtin %sizes, %7 {operator = "FILL"} : (tensor<2xi32>, tensor<i32>) -> tensor<65536x65536xi32>
  %1 = tfl.builtin %0 {operator = "NEG"} : (tensor<65536x65536xi32>) -> tensor<65536x65536xi32>
  return %1 : tensor<65536x65536xi32>
}
