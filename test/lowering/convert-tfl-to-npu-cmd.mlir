// RUN: npu-opt %s -p convert-tfl-to-npu-cmd | filecheck %s

// An operator as Arm's kernel takes it. The payload holds a 1x1 maximum pool of 2x2x16 bytes from byte 64 of the arena
// to byte 0, then NPU_OP_STOP.
func.func @main(%x: tensor<1x2x2x16xi8> {tfl.tensor = {arena_offset = 64 : i64}}) -> tensor<1x2x2x16xi8> {
  %cmd = tfl.pseudo_const dense<"0x434F5031010010000718000001600610050000000500000005000000020040000F0101000040000040000000044000001000000005400000200000000640000001000000090100000A0101000B0101000C0101000140000000000000024000000000000003400000000000001F0101001040000000000000144000001000000015400000200000001640000001000000180100001A0101001B0101001C01010011400000000000001240000000000000134000000000000014010100120101001101010013010F0025010000260180FF27017F0024010000160101001501010017010F000D0106002D010E002F01000004010F00220100000701000021010000200100000001000001010000030100000201000005010100050000000000FFFF"> : tensor<288xui8>
  %ro = tfl.pseudo_const dense<0> : tensor<16xui8>
  %arena = tfl.pseudo_tensor {tfl.tensors = [{arena_offset = 0 : i64}]} : () -> tensor<128xui8>
  %y = tfl.custom %cmd, %ro, %arena, %arena, %x {custom_code = "ethos-u", custom_option = #tfl.const_bytes<"0x010401">, tfl.tensors = [{arena_offset = 0 : i64}]} : (tensor<288xui8>, tensor<16xui8>, tensor<128xui8>, tensor<128xui8>, tensor<1x2x2x16xi8>) -> tensor<1x2x2x16xi8>
  func.return %y : tensor<1x2x2x16xi8>
}

// CHECK:      npu.target = #npu.target<"ethos-u55-128">, npu.arena_size = 128 : i64
// CHECK:      func.func @main
// CHECK-NEXT:   npu.invoke @npu_0
// CHECK-NEXT:   func.return
// CHECK:      npu_cmd.program @npu_0
// CHECK-NEXT:   npu_cmd.input index <0> address <64> : !npu.buffer<64, arena>
// CHECK-NEXT:   npu_cmd.output index <0> address <0> : !npu.buffer<64, arena>
// CHECK-NEXT:   %arena = npu_cmd.memory : !npu.buffer<128, arena>
// CHECK-NEXT:   npu_cmd.pool max ifm %arena <2x2x16xi8, nhwc, offset 64> ofm %arena <2x2x16xi8, nhwc> window <1x1>
// CHECK-NEXT:   npu_cmd.stop
