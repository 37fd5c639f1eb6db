// RUN: npu-opt %s -p 'tfl-partition{round-trip=5000}' --split-input-file | filecheck %s
// RUN: npu-opt %s -p tfl-partition --split-input-file | filecheck %s --check-prefix=ALL
// RUN: npu-opt %s -p 'tfl-partition{ignore="RELU"}' --split-input-file | filecheck %s --check-prefix=IGNORE
// RUN: not npu-opt %s -p 'tfl-partition{ignore="RELUX"}' --split-input-file 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN: tfl-partition: ignore: no operator of TFLite is called RELUX

// The NPU takes a chain whole; the constant goes inside, the names of inputs and results stay at the border.

// IGNORE-LABEL: func.func @chain
// IGNORE-NEXT:    %[[Y:.*]] = tfl.relu {{.*}}npu.cpu_reason = "it is among those that tfl-partition leaves to the CPU
// IGNORE-NEXT:    npu.invoke @npu_0(%[[Y]])

// CHECK-LABEL: func.func @chain
// CHECK-SAME:    %[[X:.*]]: tensor<1x4x4x8x!quant
// CHECK-NEXT:    %[[Y:.*]] = npu.invoke @npu_0(%[[X]])
// CHECK-NEXT:    return %[[Y]]
// CHECK:       func.func private @npu_0
// CHECK-SAME:    attributes {npu.region}
// CHECK-NEXT:    tfl.relu
// CHECK-NEXT:    %[[C:.*]] = tfl.pseudo_qconst
// CHECK-NEXT:    tfl.add %{{.*}}, %[[C]]
// CHECK-NEXT:    func.return
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
func.func @chain(%x: !t) -> !t {
  %c = tfl.pseudo_qconst dense<3> : tensor<1x4x4x8xi8> -> !t
  %0 = tfl.relu %x : (!t) -> !t
  %1 = tfl.add %0, %c : (!t, !t) -> !t
  return %1 : !t
}

// -----

// A CPU operator in one arm of a diamond: the add must wait for it, so it cannot be in the first region. The relu of the
// other arm can, and is: two regions, not three.

// CHECK-LABEL: func.func @diamond
// CHECK-NEXT:    %[[A:.*]], %[[B:.*]] = npu.invoke @npu_0
// CHECK-NEXT:    %[[C:.*]] = tfl.builtin %[[A]] {operator = "ELU", npu.cpu_reason = "operator ELU is not supported"}
// CHECK-NEXT:    %[[D:.*]] = npu.invoke @npu_1(%[[C]], %[[B]])
// CHECK-NEXT:    return %[[D]]
// CHECK:       func.func private @npu_0
// CHECK-NEXT:    tfl.tanh
// CHECK-NEXT:    tfl.relu
// CHECK-NEXT:    func.return
// CHECK:       func.func private @npu_1
// CHECK-NEXT:    tfl.add
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
func.func @diamond(%x: !t) -> !t {
  %0 = tfl.tanh %x : (!t) -> !t
  %1 = tfl.builtin %0 {operator = "ELU"} : (!t) -> !t
  %2 = tfl.relu %0 : (!t) -> !t
  %3 = tfl.add %1, %2 : (!t, !t) -> !t
  return %3 : !t
}

// -----

// The second arm ends in a widened tensor. Only the add needs it, in the second region, so the host holds what it is made
// of instead, and the widening waits. A result that is no larger than its operand stays where it is.

// CHECK-LABEL: func.func @waits
// CHECK-NEXT:    %[[A:.*]], %[[B:.*]] = npu.invoke @npu_0
// CHECK-NEXT:    %[[C:.*]] = tfl.builtin %[[A]] {operator = "ELU"
// CHECK-NEXT:    %[[D:.*]] = npu.invoke @npu_1(%[[B]], %[[C]])
// CHECK:       func.func private @npu_0
// CHECK-NEXT:    tfl.tanh
// CHECK-NEXT:    tfl.relu
// CHECK-NEXT:    func.return
// CHECK:       func.func private @npu_1
// CHECK:         tfl.resize_nearest_neighbor
// CHECK-NEXT:    tfl.add
!s = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
!l = tensor<1x8x8x8x!quant.uniform<i8:f32, 0.5>>
func.func @waits(%x: !s) -> !l {
  %size = tfl.pseudo_const dense<[8, 8]> : tensor<2xi32>
  %0 = tfl.tanh %x : (!s) -> !s
  %1 = tfl.builtin %0 {operator = "ELU"} : (!s) -> !l
  %2 = tfl.relu %0 : (!s) -> !s
  %3 = tfl.resize_nearest_neighbor %2, %size : (!s, tensor<2xi32>) -> !l
  %4 = tfl.add %1, %3 : (!l, !l) -> !l
  return %4 : !l
}

// -----

// A reason that is already there is a decision: the operator stays on the CPU. What is dead is dropped.

// CHECK-LABEL: func.func @pinned
// CHECK-NEXT:    tfl.relu %{{.*}} {npu.cpu_reason = "because I say so"}
// CHECK-NEXT:    return
// CHECK-NOT:     func.func
!t = tensor<4x!quant.uniform<i8:f32, 0.5>>
func.func @pinned(%x: !t) -> !t {
  %0 = tfl.relu %x {npu.cpu_reason = "because I say so"} : (!t) -> !t
  %1 = tfl.tanh %0 : (!t) -> !t
  return %0 : !t
}

// -----

// Every refusal names the rule and the tensor.

// CHECK-LABEL: func.func @refused
// CHECK:         tfl.relu %{{.*}} {npu.cpu_reason = "the NPU does not compute with floats: tensor 'image' (1x8)"}
// CHECK:         tfl.max_pool_2d {{.*}}npu.cpu_reason = "all batches together must have at most 65535 rows: tensor 'batched' (2x40000x1x8)"
// CHECK:         tfl.average_pool_2d {{.*}}npu.cpu_reason = "averages beyond 8x8 may be clipped in at most 64 ways, not 128: tensor 'large' (1x8x16x8)"
// CHECK:         tfl.concatenation {{.*}}npu.cpu_reason = "CONCATENATION must have operands of its result's quantisation: tensor 'right' (1x8)"
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x8x!quant.uniform<i8:f32, 0.25>>
!b = tensor<2x40000x1x8x!quant.uniform<i8:f32, 0.5>>
!l = tensor<1x8x16x8x!quant.uniform<i8:f32, 0.5>>
!c = tensor<1x16x!quant.uniform<i8:f32, 0.5>>
func.func @refused(
    %f: tensor<1x8xf32> loc("image"), %b: !b loc("batched"), %l: !l loc("large"), %q: !q, %r: !r loc("right")
  ) -> (tensor<1x8xf32>, !b, !l, !c) {
  %0 = tfl.relu %f : (tensor<1x8xf32>) -> tensor<1x8xf32>
  %1 = tfl.max_pool_2d %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 2 : i32, filter_width = 2 : i32} : (!b) -> !b
  %2 = tfl.average_pool_2d %l {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 9 : i32, filter_width = 17 : i32} : (!l) -> !l
  %3 = tfl.concatenation %q, %r {axis = 1 : i32} : (!q, !r) -> !c
  return %0, %1, %2, %3 : tensor<1x8xf32>, !b, !l, !c
}

// -----

// A sparse constant stays with the operator that reads it, as the file has it.

// CHECK-LABEL: func.func @sparse
// CHECK:         tfl.pseudo_qconst {tfl.tensors = [{sparsity = {{.*}} #tfl.const_bytes<"0x0102">
// CHECK:         tfl.fully_connected {{.*}}npu.cpu_reason = "constants must be dense, TFLite computes otherwise with sparse ones: tensor 'pruned' (2x4)"
// CHECK:         npu.invoke @npu_0
!x = tensor<1x4x!quant.uniform<i8:f32, 0.5>>
!y = tensor<1x2x!quant.uniform<i8:f32, 0.5>>
!w = tensor<2x4x!quant.uniform<i8:f32, 0.5>>
func.func @sparse(%x: !x) -> !y {
  %w = tfl.pseudo_qconst {tfl.tensors = [{sparsity = {traversal_order = array<i32: 0, 1>, dim_metadata = [
    {format = "DENSE", dense_size = 2 : i32}, {format = "SPARSE_CSR", array_segments = {Int32Vector = {values = array<i32: 0, 1, 2>}},
    array_indices = {Int32Vector = {values = array<i32: 3, 1>}}}]}}]} #tfl.const_bytes<"0x0102"> -> !w loc("pruned")
  %0 = tfl.fully_connected %x, %w : (!x, !w) -> !y
  %1 = tfl.relu %0 : (!y) -> !y
  return %1 : !y
}

// -----

// Operators with weights: the bias that TFLite's kernel reads, sums that it would wrap, factors that no shift holds.

// CHECK-LABEL: func.func @weights
// CHECK:         tfl.fully_connected {{.*}}npu.cpu_reason = "biases must be integers of the 64 bits that TFLite's kernel reads: tensor 'bias' (1)"
// CHECK:         tfl.fully_connected {{.*}}npu.cpu_reason = "scaled sums must fit 32 bits: tensor 'large' (1x1)"
// CHECK:         tfl.conv_2d {{.*}}npu.cpu_reason = "the result's scale must be above 2^-13 of its operands': tensor 'fine' (1x1x1x1)"
// CHECK:         npu.invoke @npu_0
!x = tensor<1x2x!quant.uniform<i16:f32, 0.5>>
!y = tensor<1x1x!quant.uniform<i16:f32, 0.001>>
!z = tensor<1x1x!quant.uniform<i16:f32, 1.0e-8>>
!map = tensor<1x1x1x2x!quant.uniform<i16:f32, 0.5>>
!fine = tensor<1x1x1x1x!quant.uniform<i16:f32, 3.0517578e-05>>
!w = tensor<1x2x!quant.uniform<i8:f32, 1.0>>
!k = tensor<1x1x1x2x!quant.uniform<i8:f32, 1.0>>
func.func @weights(%x: !x, %m: !map) -> (!y, !z, !fine, !y) {
  %w = tfl.pseudo_qconst dense<1> : tensor<1x2xi8> -> !w
  %k = tfl.pseudo_qconst dense<1> : tensor<1x1x1x2xi8> -> !k
  %b = tfl.pseudo_const dense<1> : tensor<1xi32> loc("bias")
  %0 = tfl.fully_connected %x, %w, %b : (!x, !w, tensor<1xi32>) -> !y
  %1 = tfl.fully_connected %x, %w : (!x, !w) -> !z loc("large")
  %2 = tfl.conv_2d %m, %k {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32} : (!map, !k) -> !fine loc("fine")
  %3 = tfl.fully_connected %x, %w, %b {quantized_bias_type = "INT32"} : (!x, !w, tensor<1xi32>) -> !y
  return %0, %1, %2, %3 : !y, !z, !fine, !y
}

// -----

// A cheap operator between two of the CPU is not worth the round trip; a large one is, and so is what runs beside others.

// CHECK-LABEL: func.func @alone
// CHECK:         operator = "COS"
// CHECK-NEXT:    tfl.reshape {{.*}}npu.cpu_reason = "as a region by itself, a round trip of 5000 cycles of the CPU, it is worth about 32 of them: tensor 'flat' (1x128)"
// CHECK-NEXT:    operator = "COS"
// CHECK-NEXT:    npu.invoke @npu_0
// ALL-LABEL:   func.func @alone
// ALL:           operator = "COS"
// ALL-NEXT:      npu.invoke @npu_0
// ALL-NEXT:      operator = "COS"
// ALL-NEXT:      npu.invoke @npu_1
!t = tensor<1x4x4x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x128x!quant.uniform<i8:f32, 0.5>>
func.func @alone(%x: !t) -> !r {
  %s = tfl.pseudo_const dense<[1, 128]> : tensor<2xi32>
  %0 = tfl.builtin %x {operator = "COS"} : (!t) -> !t
  %1 = tfl.reshape %0, %s : (!t, tensor<2xi32>) -> !r loc("flat")
  %2 = tfl.builtin %1 {operator = "COS"} : (!r) -> !r
  %3 = tfl.tanh %2 : (!r) -> !r
  return %3 : !r
}

// -----

// Floats at the border say what drops them; floats inside are told from other types. What IF runs is not taken.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:    tfl.quantize {{.*}}npu.cpu_reason = "floats at the border, which --integer-io drops: the NPU does not compute with floats: tensor 'x' (1x8)"
// CHECK-NEXT:    npu.invoke @npu_0
// CHECK-NEXT:    operator = "DEQUANTIZE", npu.cpu_reason = "the NPU does not compute with floats: tensor 'inner' (1x8)"
// CHECK-NEXT:    operator = "COS"
// CHECK:       func.func private @branch
// CHECK-NEXT:    tfl.tanh {{.*}}npu.cpu_reason = "only the main subgraph is taken, not 'branch', which IF, WHILE or the like run: tensor 
!f = tensor<1x8xf32>
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
func.func @main(%x: !f loc("x")) -> !f {
  %0 = tfl.quantize %x : (!f) -> !q
  %1 = tfl.tanh %0 : (!q) -> !q
  %2 = tfl.builtin %1 {operator = "DEQUANTIZE"} : (!q) -> !f loc("inner")
  %3 = tfl.builtin %2 {operator = "COS"} : (!f) -> !f
  return %3 : !f
}
func.func private @branch(%x: !q) -> !q {
  %0 = tfl.tanh %x : (!q) -> !q
  return %0 : !q
}

// -----

// What has no kernels although the NPU has the types says why.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:    operator = "LOG_SOFTMAX", npu.cpu_reason = "LiteRT computes LOG_SOFTMAX in floats, which the NPU does not: tensor
// CHECK-NEXT:    operator = "L2_NORMALIZATION", npu.cpu_reason = "L2_NORMALIZATION shifts each row by a number of its own
!q = tensor<1x8x!quant.uniform<i8:f32, 0.5>>
!r = tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>>
!s = tensor<1x8x!quant.uniform<i8:f32, 0.0078125>>
func.func @main(%x: !q) -> (!r, !s) {
  %0 = tfl.builtin %x {operator = "LOG_SOFTMAX"} : (!q) -> !r
  %1 = tfl.builtin %x {operator = "L2_NORMALIZATION"} : (!q) -> !s
  return %0, %1 : !r, !s
}
