// RUN: npu-opt %s -p convert-npu-cmd-to-tfl --print-debuginfo | filecheck %s
// RUN: npu-opt %s -t tflite | npu-opt -f tflite | filecheck %s --check-prefix=AGAIN

// Two NPU regions with a CPU operator between them. What the regions share lies in the arena, which all programs and
// the host address alike; the runtime is told so by the arena offsets of the tensors.
module attributes {npu.target = #npu.target<"ethos-u55-128">, npu.arena_size = 512 : i64, npu.pipeline = "x,y"} {
  func.func @main(%x: tensor<1x4x4x4xi8> loc("x")) -> tensor<1x4x4x4xi8> {
    %a = npu.invoke @npu_0(%x) : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8> loc("a")
    %b = tfl.abs %a : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8> loc("b")
    %c = tfl.builtin %b {operator = "FLOOR"} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8> loc("c")
    %d = npu.invoke @npu_1(%a, %c) : (tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8> loc("d")
    func.return %d : tensor<1x4x4x4xi8>
  }
  npu_cmd.program @npu_0 {
    %x = npu_cmd.input index <0> address <0> : !npu.buffer<64, arena>
    %a = npu_cmd.output index <0> address <64> : !npu.buffer<64, arena>
    %t = npu_cmd.constant address <0> dense<7> : tensor<256xui8> -> !npu.buffer<256, read_only>
    %s = npu_cmd.alloc address <22528> : !npu.buffer<256, shram>
    npu_cmd.dma from %t to %s size <256> : !npu.buffer<256, read_only>, !npu.buffer<256, shram>
    npu_cmd.wait dma pending <0>
    npu_cmd.pool max ifm %x <4x4x4xi8, nhwc> ofm %a <4x4x4xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <table, -128, 127> table %s block <4x4x8> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena>, !npu.buffer<256, shram>
    npu_cmd.stop
  }
  npu_cmd.program @npu_1 {
    %a = npu_cmd.input index <0> address <64> : !npu.buffer<64, arena>
    %c = npu_cmd.input index <1> address <128> : !npu.buffer<64, arena>
    %d = npu_cmd.output index <0> address <192> : !npu.buffer<64, arena>
    %k = npu_cmd.constant address <256> dense<1> : tensor<16xui8> -> !npu.buffer<16, read_only>
    npu_cmd.elementwise max ifm %a <4x4x4xi8, nhwc> ofm %d <4x4x4xi8, nhwc> ifm2 %c <4x4x4xi8, nhwc>
      scale <per_channel, double_round> activation <-128, 127>
      block <4x4x8> shram <ib_end 22, ab_start 22, acc 32, ib2_start 10>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena>, !npu.buffer<64, arena>
    npu_cmd.stop
  }
}

// CHECK:      tfl.metadata = [{name = "npuc_version"{{.*}}{name = "npuc_pipeline", data = #tfl.const_bytes<"0x782C79">}]
// CHECK:      func.func @main(%x: tensor<1x4x4x4xi8> {tfl.tensor = {arena_offset = 0 : i64}} loc("x"))
// The constants of both regions are one tensor: 256 bytes of the table, then 16 bytes.
// CHECK-NEXT:   [[ro:%.*]] = tfl.pseudo_const dense<"0x07{{(07)+(01)+}}"> : tensor<272xui8> loc("ethos_u_read_only")
// CHECK-NEXT:   [[arena:%.*]] = tfl.pseudo_tensor {tfl.tensors = [{arena_offset = 0 : i64}]} : () -> tensor<512xui8> loc("ethos_u_scratch")
// A command stream starts with COP1 and the machine.
// CHECK-NEXT:   [[cmd:%.*]] = tfl.pseudo_const dense<"0x434F50310100100007180000{{.*}}loc("ethos_u_command_stream")
// CHECK-NEXT:   [[a:%.*]] = tfl.custom [[cmd]], [[ro]], [[arena]], [[arena]], %x
// CHECK-SAME:     {custom_code = "ethos-u", custom_option = #tfl.const_bytes<"0x010401">, tfl.tensors = [{arena_offset = 64 : i64}]}
// CHECK-SAME:     loc("a")
// A tensor that only the CPU touches has the place that it was given, if any.
// CHECK-NEXT:   tfl.abs [[a]] : {{.*}} loc("b")
// CHECK-NEXT:   [[c:%.*]] = tfl.builtin {{.*}}arena_offset = 128
// CHECK:        tfl.custom {{%.*}}, [[ro]], [[arena]], [[arena]], [[a]], [[c]]
// CHECK-SAME:     arena_offset = 192
// CHECK-NOT:  npu_cmd

// AGAIN:      npu.invoke @npu_0
// AGAIN:      npu_cmd.program @npu_1
// AGAIN:        [[m:%.*]] = npu_cmd.memory : !npu.buffer<512, arena>
// AGAIN-NEXT:   npu_cmd.elementwise max ifm [[m]] <4x4x4xi8, nhwc, offset 64> ofm [[m]] <4x4x4xi8, nhwc, offset 192> ifm2 [[m]] <4x4x4xi8, nhwc, offset 128>
