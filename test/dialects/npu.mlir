// RUN: npu-opt %s | npu-opt | filecheck %s
// RUN: npu-opt %s --print-op-generic | npu-opt | filecheck %s

// What the levels below tosa share. The target names accelerator, system configuration and memory mode; trailing names
// that are left out are the defaults. A host function reaches an NPU region by npu.invoke.

// CHECK: npu.target = #npu.target<"ethos-u55-64", "Ethos_U55_Deep_Embedded", config "my.ini">
module attributes {npu.target = #npu.target<"ethos-u55-64", "Ethos_U55_Deep_Embedded", config "my.ini">} {
  // CHECK: func.func @main
  func.func @main(%x: tensor<1x4xi8>) -> tensor<1x4xi8> {
    // CHECK-NEXT: %y = npu.invoke @npu_0(%x) : (tensor<1x4xi8>) -> tensor<1x4xi8>
    %y = npu.invoke @npu_0(%x) : (tensor<1x4xi8>) -> tensor<1x4xi8>
    func.return %y : tensor<1x4xi8>
  }
  // CHECK: func.func private @npu_0(%0: tensor<1x4xi8>) -> tensor<1x4xi8> attributes {npu.region}
  func.func private @npu_0(%0: tensor<1x4xi8>) -> tensor<1x4xi8> attributes {npu.region} {
    func.return %0 : tensor<1x4xi8>
  }
  // Attributes of a kernel print in full where they stand alone.
  // CHECK: window = #npu.window<3x3, stride 2x2, dilation 2x1, pad 0 1 2 3, upscale zeros>
  // CHECK-SAME: scale = #npu.scale<1073741824, shift 35, natural>
  // CHECK-SAME: operands = #npu.operand_scales<ifm 1623821475, shift 13>
  // CHECK-SAME: activation = #npu.activation<table, -128, 127>
  // CHECK-SAME: block = #npu.block<16x16x8>
  func.func private @attributes() attributes {
    window = #npu.window<3x3, stride 2x2, dilation 2x1, pad 0 1 2 3, upscale zeros>,
    scale = #npu.scale<1073741824, shift 35, natural>,
    operands = #npu.operand_scales<ifm 1623821475, shift 13>,
    activation = #npu.activation<table, -128, 127>,
    block = #npu.block<16x16x8>
  }
}
