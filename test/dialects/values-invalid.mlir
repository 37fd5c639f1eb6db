// A value is made before it is used; xDSL's own verifier does not ask.
// RUN: npu-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect | filecheck %s

// CHECK: :7:{{.*}}: 'npu_schedule.copy': operand 0 %b is used where it is not defined: 'npu_schedule.copy' gives it later
func.func @later(%a: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi8> {

  %c = npu_schedule.copy %b : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  %b = npu_schedule.copy %a : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  return %c : tensor<1x4x4x8xi8>
}

// -----

// CHECK: 'npu_schedule.copy': operand 0 %c is used where it is not defined: 'npu_schedule.copy' gives it later
func.func @itself() {
  %c = npu_schedule.copy %c : tensor<1x4x4x8xi8> -> tensor<1x4x4x8xi8>
  return
}

// -----

// CHECK: operand 1 %r is used where it is not defined: {{.*}} gives it later
func.func @inside_of_what_gives_it(%a: i32) {
  %r = "test.holder"() ({
    "test.use"(%a, %r) : (i32, i32) -> ()
    "test.end"() : () -> ()
  }) : () -> i32
  return
}

// -----

// Blocks of one region may stand in any order, and regions see what encloses them.
// CHECK-LABEL: func.func @fine
func.func @fine(%a: i32) {
  "test.branch"()[^last] : () -> ()
^first:
  "test.holder"() ({
    "test.use"(%a, %b) : (i32, i32) -> ()
    "test.end"() : () -> ()
  }) : () -> ()
  "test.branch"()[^last] : () -> ()
^last:
  %b = "test.make"() : () -> i32
  "test.branch"()[^first] : () -> ()
}

// -----

// CHECK: operand 0 %b is used where it is not defined: {{.*}} gives it later
func.func @later_in_one_of_the_blocks() {
  "test.branch"()[^next] : () -> ()
^next:
  "test.use"(%b) : (i32) -> ()
  %b = "test.make"() : () -> i32
  "test.branch"()[^next] : () -> ()
}
