// RUN: npu-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: unknown accelerator 'ethos-u77'
module attributes {npu.target = #npu.target<"ethos-u77">} {
}

// -----

// CHECK: expected a layout: one of nhwc, nhcwb16
func.func private @f(%x: tensor<1x1x1x16xi8, #npu.layout<nchw>>)

// -----

// CHECK: stride 0 is not from 1 to 65536
func.func private @f() attributes {w = #npu.window<1x1, stride 0x1>}

// -----

// CHECK: multiplier 4294967296 is not from 0 to 4294967295
func.func private @f() attributes {s = #npu.scale<4294967296, shift 3, natural>}

// -----

// CHECK: empty clamp range 3..2
func.func private @f() attributes {a = #npu.activation<3, 2>}
