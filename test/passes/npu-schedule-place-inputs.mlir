// RUN: npu-opt %s -p npu-schedule-place-inputs --split-input-file | filecheck %s
// RUN: npu-opt %s -p 'npu-schedule-place-inputs,convert-npu-schedule-to-npu-cmd,npu-cmd-allocate' --split-input-file | filecheck %s --check-prefix=CMD

// Two inputs of the network. Only regions read %a, so it lies wherever the application has it, and so does each view of
// it; the host reads %b as well. What is external has no address, and the arena is smaller by it.
// CHECK-LABEL: func.func private @npu_0
// CHECK-SAME: (%x: tensor<1x8x8x32xi8, #npu.layout<nhwc, external>>, %y: tensor<1x8x8x16xi8>)
// CHECK-NEXT: slice %x {{.*}} -> tensor<1x8x8x16xi8, #npu.layout<nhwc, external>>
// CMD: module attributes {{.*}}npu.arena_size = 2048
// CMD: npu_cmd.input index <0> : !npu.buffer<2048, external>
// CMD: npu_cmd.input index <1> address <{{[0-9]+}}> : !npu.buffer<1024, arena>
!s = tensor<1x8x8x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128", external_inputs>, npu.partitioned} {
  func.func @main(%a: tensor<1x8x8x32xi8>, %b: !s) -> (!s, !s) {
    %r = npu.invoke @npu_0(%a, %b) : (tensor<1x8x8x32xi8>, !s) -> !s
    func.return %r, %b : !s, !s
  }
  func.func private @npu_0(%x: tensor<1x8x8x32xi8>, %y: !s) -> !s attributes {npu.region} {
    %part = npu_schedule.slice %x {offsets = #npu.ints<0, 0, 16>, strides = #npu.ints<1, 1, 1>} : tensor<1x8x8x32xi8> -> !s
    %z = npu_schedule.elementwise min %part, %y zero_points <0, 0, 0> activation <-128, 127> : (!s, !s) -> !s
    func.return %z : !s
  }
}

// -----

// Without the option everything stays in the arena.
// CHECK-LABEL: func.func @plain
// CHECK-NOT: external
!s = tensor<1x8x8x16xi8>
module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @plain(%x: !s) -> !s attributes {npu.region} {
    %z = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : (!s) -> !s
    func.return %z : !s
  }
}
