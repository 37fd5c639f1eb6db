// RUN: npu-opt %s | npu-opt | filecheck %s

// Floats that xDSL prints in hexadecimal but reads as integers: such a constant is printed as its bytes.

// CHECK:      tfl.pseudo_const dense<"0x0000C07F0000807F"> : tensor<2xf32>
// CHECK-NEXT: tfl.pseudo_const dense<"0x38B496490000803F"> : tensor<2xf32>
// CHECK-NEXT: tfl.pseudo_const dense<[1.500000e+00, -1.000000e-01]> : tensor<2xf32>
func.func @floats() {
  %not_a_number_and_infinity = tfl.pseudo_const dense<"0x0000C07F0000807F"> : tensor<2xf32>
  %seven_digits = tfl.pseudo_const dense<[1234567.0, 1.0]> : tensor<2xf32>
  %ordinary = tfl.pseudo_const dense<[1.5, -0.1]> : tensor<2xf32>
  return
}
