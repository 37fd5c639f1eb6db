// RUN: npu-opt %s -p npu-cmd-allocate | filecheck %s
// RUN: npu-opt %s -p 'npu-set-target{accelerator=ethos-u55-128 limit=1024},npu-cmd-allocate' --verify-diagnostics | filecheck %s --check-prefix=LIMIT

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
