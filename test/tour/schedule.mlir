// A tour of scheduling: three convolutions, cascaded and double-buffered, from kernels to commands.
//
// Stored whole, the feature maps of this network need 24 KiB at one time. Each RUN line adds passes; the pipelines:
//
// DEFINE: %{limited} = npu-schedule-select-formats,npu-schedule-limit-sram{strategy="size"}
// DEFINE: %{planned} = %{limited},npu-schedule-plan-cascades
// DEFINE: %{formed} = %{planned},npu-schedule-form-cascades,npu-schedule-select-blocks
// DEFINE: %{buffered} = %{formed},npu-schedule-buffer-weights,npu-schedule-split-weight-buffers
// DEFINE: %{commands} = %{buffered},convert-npu-schedule-to-npu-cmd,npu-cmd-hoist-dma,npu-cmd-allocate,npu-cmd-assign-lut-slots,npu-cmd-set-blockdep,npu-cmd-insert-waits

module attributes {npu.target = #npu.target<"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram">} {
  func.func @npu_0(%x: tensor<1x32x32x8xi8>) -> tensor<1x8x8x64xi8> attributes {npu.region} {

    // 3x3, then 3x3 with stride 2: the first feature map is the largest of all and has one reader.
    %w0 = npu_schedule.constant dense<1> : tensor<16x3x3x8xi8>
    %s0 = npu_schedule.scales {bias = dense<0> : tensor<16xi64>, multiplier = dense<1073741824> : tensor<16xi32>, shift = dense<38> : tensor<16xi8>} : !npu_schedule.scales<16>
    %a = npu_schedule.conv2d %x, %w0, %s0 window <3x3, pad 1 1 1 1> zero_points <0, 0> scale <per_channel, double_round> activation <-128, 127> : (tensor<1x32x32x8xi8>, tensor<16x3x3x8xi8>, !npu_schedule.scales<16>) -> tensor<1x32x32x16xi8>
    %w1 = npu_schedule.constant dense<2> : tensor<32x3x3x16xi8>
    %s1 = npu_schedule.scales {bias = dense<0> : tensor<32xi64>, multiplier = dense<1073741824> : tensor<32xi32>, shift = dense<38> : tensor<32xi8>} : !npu_schedule.scales<32>
    %b = npu_schedule.conv2d %a, %w1, %s1 window <3x3, stride 2x2, pad 0 0 1 1> zero_points <0, 0> scale <per_channel, double_round> activation <-128, 127> : (tensor<1x32x32x16xi8>, tensor<32x3x3x16xi8>, !npu_schedule.scales<32>) -> tensor<1x16x16x32xi8>

    // The last one has pinned decisions: two slices of its weights are to pass through two buffers.
    %w2 = npu_schedule.constant dense<3> : tensor<64x3x3x32xi8>
    %s2 = npu_schedule.scales {bias = dense<0> : tensor<64xi64>, multiplier = dense<1073741824> : tensor<64xi32>, shift = dense<38> : tensor<64xi8>} : !npu_schedule.scales<64>
    %c = npu_schedule.conv2d %b, %w2, %s2 window <3x3, stride 2x2, pad 0 0 1 1> zero_points <0, 0> scale <per_channel, double_round> activation <-128, 127> slices <0, 32, 64> buffers <2> : (tensor<1x16x16x32xi8>, tensor<64x3x3x32xi8>, !npu_schedule.scales<64>) -> tensor<1x8x8x64xi8>
    func.return %c : tensor<1x8x8x64xi8>
  }
}

// 1. The limit. For size it is what the smallest schedule needs, found by trying all ways to cut the network into cascades;
//    it is written on the function, where every later pass and the reader find it.
//
// RUN: npu-opt %s -p '%{limited}' | filecheck %s --check-prefix=LIMIT
// LIMIT: func.func @npu_0{{.*}} attributes {npu.region, npu.sram_limit = {{[0-9]+}} : i64}

// 2. The plan: attributes and nothing else, so that another plan can be written by hand. The first kernel makes 8 rows at a
//    time into a rolling buffer of 9: what the second still needs of the rows before.
//
// RUN: npu-opt %s -p '%{planned}' | filecheck %s --check-prefix=PLAN
// PLAN-NOT: npu_schedule.cascade
// PLAN:     npu_schedule.conv2d %x, {{.*}} stripe <8> rolling <9>
// PLAN:     npu_schedule.conv2d %a, {{.*}} stripe <4>

// 3. The cascade: the two kernels move into a region. What is yielded is a whole feature map.
//
// RUN: npu-opt %s -p '%{formed}' | filecheck %s --check-prefix=FORM
// FORM:      npu_schedule.cascade -> tensor<1x16x16x32xi8, #npu.layout<nhcwb16>> {
// FORM-NEXT:   %[[A:.*]] = npu_schedule.conv2d %x
// FORM-NEXT:   %[[B:.*]] = npu_schedule.conv2d %[[A]]
// FORM-NEXT:   npu_schedule.yield %[[B]]

// 4. The buffers: each of the two gets a value of its own, as large as its own slices need, with its own live range.
//
// RUN: npu-opt %s -p '%{buffered}' | filecheck %s --check-prefix=BUFFERS
// BUFFERS: %[[B0:.*]], %[[B1:.*]] = npu_schedule.weight_buffers
// BUFFERS: npu_schedule.conv2d {{.*}} slices <0, 32, 64> buffers <2> through %[[B0]], %[[B1]]

// 5. The program. The stripes of the two kernels take turns; where a stripe wraps in the rolling buffer, a feature map has a
//    second tile. The second transfer is issued behind the kernel that uses the first buffer, and runs beside it.
//
// RUN: npu-opt %s -p '%{commands}' | filecheck %s --check-prefix=COMMANDS
// COMMANDS: npu_cmd.conv ifm %{{.*}} <9x32x8xi8, nhwc> ofm %[[ROLLING:.*]] <8x32x16xi8, nhcwb16>
// COMMANDS: npu_cmd.conv ifm %[[ROLLING]] <9x32x16xi8, nhcwb16> ofm %[[WHOLE:.*]] <4x16x32xi8, nhcwb16>
// COMMANDS: npu_cmd.conv ifm %[[ROLLING]] <9x32x16xi8, nhcwb16, offset 4096, tiles 32 1 1 0 0 0>
// COMMANDS: npu_cmd.free %[[ROLLING]]
// COMMANDS: npu_cmd.dma {{.*}} to %[[FIRST:.*]] size
