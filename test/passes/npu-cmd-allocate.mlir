// RUN: npu-opt %s -p npu-cmd-allocate --split-input-file | filecheck %s
// RUN: npu-opt %s -p 'npu-set-target{accelerator=ethos-u55-128 limit=1024},npu-cmd-allocate' --split-input-file --verify-diagnostics | filecheck %s --check-prefix=LIMIT

// Two buffers that are never alive together share their place; one that is alive beside both lies elsewhere. No
// placement is lower than the most bytes alive at one time, which is written beside the height that was reached.
//
// CHECK: npu.read_only_size = 32 : i64, npu.arena_size = 1536 : i64, npu.arena_bound = 1536 : i64
//
// LIMIT: the arena needs 1536 bytes, the limit is 1024: the smallest limit for this schedule is 1536
module {
  // CHECK-LABEL: npu_cmd.program @p
  npu_cmd.program @p {
    // Constants stand one after the other; equal ones are kept once.
    // CHECK: npu_cmd.constant address <0> dense<1>
    // CHECK: npu_cmd.constant address <16> dense<2>
    // CHECK: npu_cmd.constant address <0> dense<1>
    %c0 = npu_cmd.constant dense<1> : tensor<16xui8> -> !npu.buffer<16, read_only>
    %c1 = npu_cmd.constant dense<2> : tensor<16xui8> -> !npu.buffer<16, read_only>
    %c2 = npu_cmd.constant dense<1> : tensor<16xui8> -> !npu.buffer<16, read_only>
    // CHECK: %long = npu_cmd.alloc address <[[LONG:[0-9]+]]>
    %long = npu_cmd.alloc : !npu.buffer<512, arena>
    // CHECK: %first = npu_cmd.alloc address <[[SHARED:[0-9]+]]>
    %first = npu_cmd.alloc : !npu.buffer<1024, arena>
    npu_cmd.dma from %c0 to %first size <16> : !npu.buffer<16, read_only>, !npu.buffer<1024, arena>
    npu_cmd.free %first : !npu.buffer<1024, arena>
    // CHECK: %second = npu_cmd.alloc address <[[SHARED]]>
    %second = npu_cmd.alloc : !npu.buffer<1000, arena>
    npu_cmd.dma from %c1 to %second size <16> : !npu.buffer<16, read_only>, !npu.buffer<1000, arena>
    npu_cmd.dma from %c2 to %long size <16> : !npu.buffer<16, read_only>, !npu.buffer<512, arena>
    npu_cmd.free %second : !npu.buffer<1000, arena>
    npu_cmd.free %long : !npu.buffer<512, arena>
    npu_cmd.stop
  }
}

// -----

// What the host alone reads and writes has a place in the same arena. %a and %c lie on either side of %b, which the
// region is given: 3 x 64 bytes. The place that %b had in the source file is forgotten, and so is that of a tensor
// within %d; %d itself, whose size nobody knows, has none.

// CHECK: npu.arena_size = 192 : i64, npu.arena_bound = 192 : i64
// CHECK:      func.func @main(%x: tensor<1x4x4x4xi8> {tfl.tensor = {arena_offset = [[X:[0-9]+]] : i64}})
// CHECK-NEXT:   %a = tfl.abs %x {tfl.tensors = [{arena_offset = [[A:[0-9]+]] : i64}]}
// CHECK-NEXT:   %b = tfl.abs %a {tfl.tensors = [{arena_offset = [[B:[0-9]+]] : i64}]}
// CHECK-NEXT:   %d = tfl.builtin %b {operator = "UNIQUE", tfl.intermediates = [{name = "t", type = tensor<4xi8>}, unit]} :
// CHECK-NEXT:   %c = npu.invoke @p(%b) {tfl.tensors = [{arena_offset = [[C:[0-9]+]] : i64}]}
// CHECK:        npu_cmd.input index <0> address <[[B]]>
// CHECK-NEXT:   npu_cmd.output index <0> address <[[C]]>
module {
  func.func @main(%x: tensor<1x4x4x4xi8>) -> (tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>, tensor<?xi8>) {
    %a = tfl.abs %x : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %b = tfl.abs %a {tfl.tensors = [{arena_offset = 4096 : i64}]} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %d = tfl.builtin %b {operator = "UNIQUE", tfl.intermediates = [{arena_offset = 64 : i64, name = "t", type = tensor<4xi8>}, unit], tfl.tensors = [{arena_offset = 8192 : i64}]} : (tensor<1x4x4x4xi8>) -> tensor<?xi8>
    %c = npu.invoke @p(%b) : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    func.return %a, %c, %d : tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>, tensor<?xi8>
  }
  npu_cmd.program @p {
    %b = npu_cmd.input index <0> : !npu.buffer<64, arena>
    %c = npu_cmd.output index <0> : !npu.buffer<64, arena>
    npu_cmd.pool max ifm %b <4x4x4xi8, nhwc> ofm %c <4x4x4xi8, nhwc> window <1x1> scale <per_channel, double_round>
      activation <-128, 127> block <4x4x8> shram <ib_end 10, ab_start 14, acc 32>
      : !npu.buffer<64, arena>, !npu.buffer<64, arena>
    npu_cmd.stop
  }
}
