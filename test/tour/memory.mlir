// A tour of memory: a small network for Ethos-U65 with a slow arena and a cache beside it (Dedicated_Sram), from TFLite to
// commands.
//
// The arena is DRAM, which gives a few bytes a cycle after hundreds of cycles; the cache is SRAM. So the cache is what is
// scarce: feature maps are placed in it, cascades are planned for it, weights and what lies in DRAM pass through it. Here it
// has 24576 bytes (`--arena-cache-size`). The network finds peaks in a map, and a score for each of its channels:
//
//     image   1x32x32x8     the host's, so it lies in the arena
//     wide    1x32x32x32    32768 bytes: more than there is
//     deep    1x32x32x32    read twice: by the mean over all rows, and by the pool that spreads its peaks
//     mean                  one row, of which the score comes
//     peaks   1x32x32x32    the host's, as the score is
//
// The pipelines, each with those before it:
//
// DEFINE: %{target} = npu-set-target{accelerator="ethos-u65-256" memory-mode="Dedicated_Sram" limit=24576}
// DEFINE: %{kernels} = %{target},tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule,npu-schedule-fuse-activations,npu-schedule-collapse-luts,npu-schedule-fold-views
// DEFINE: %{formats} = %{kernels},npu-schedule-select-formats
// DEFINE: %{placed} = %{formats},npu-schedule-place-feature-maps
// DEFINE: %{planned} = %{placed},npu-schedule-limit-sram,npu-schedule-plan-cascades,npu-schedule-form-cascades
// DEFINE: %{staged} = %{planned},npu-schedule-stage-operands
// DEFINE: %{buffered} = npu-schedule-select-blocks,npu-schedule-buffer-weights,npu-schedule-split-weight-buffers
// DEFINE: %{commands} = %{staged},%{buffered},convert-npu-schedule-to-npu-cmd,npu-cmd-hoist-dma,npu-cmd-allocate

!image = tensor<1x32x32x8x!quant.uniform<i8:f32, 0.05>>
!map = tensor<1x32x32x32x!quant.uniform<i8:f32, 0.05>>
!mean = tensor<1x1x1x32x!quant.uniform<i8:f32, 0.05>>
!score = tensor<1x1x1x32x!quant.uniform<i8:f32, 0.00390625:-128>>
!bias = tensor<32x!quant.uniform<i32:f32, 0.001>>
func.func @main(%image: !image) -> (!map, !score) {
  %w0 = tfl.pseudo_qconst dense<3> : tensor<32x3x3x8xi8> -> tensor<32x3x3x8x!quant.uniform<i8:f32, 0.02>>
  %w1 = tfl.pseudo_qconst dense<2> : tensor<32x3x3x32xi8> -> tensor<32x3x3x32x!quant.uniform<i8:f32, 0.02>>
  %w2 = tfl.pseudo_qconst dense<1> : tensor<32x1x1x32xi8> -> tensor<32x1x1x32x!quant.uniform<i8:f32, 0.02>>
  %b = tfl.pseudo_qconst dense<100> : tensor<32xi32> -> !bias
  %wide = tfl.conv_2d %image, %w0, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, fused_activation_function = "NONE"}
      : (!image, tensor<32x3x3x8x!quant.uniform<i8:f32, 0.02>>, !bias) -> !map
  %deep = tfl.conv_2d %wide, %w1, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, fused_activation_function = "NONE"}
      : (!map, tensor<32x3x3x32x!quant.uniform<i8:f32, 0.02>>, !bias) -> !map
  %mean = tfl.average_pool_2d %deep {padding = "VALID", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 32 : i32, filter_width = 32 : i32, fused_activation_function = "NONE"}
      : (!map) -> !mean
  %mixed = tfl.conv_2d %mean, %w2, %b {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, fused_activation_function = "NONE"}
      : (!mean, tensor<32x1x1x32x!quant.uniform<i8:f32, 0.02>>, !bias) -> !mean
  %score = tfl.logistic %mixed : (!mean) -> !score
  %peaks = tfl.max_pool_2d %deep {padding = "SAME", stride_h = 1 : i32, stride_w = 1 : i32, filter_height = 5 : i32, filter_width = 5 : i32, fused_activation_function = "NONE"}
      : (!map) -> !map
  func.return %peaks, %score : !map, !score
}

// 1. Kernels and their formats. Nothing is said of memory yet: what is not said lies in the arena.
//
// RUN: npu-opt %s -p '%{formats}' | filecheck %s --check-prefix=FORMATS
// FORMATS: npu_schedule.conv2d %{{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16>>
// FORMATS: npu_schedule.conv2d %{{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16>>
// FORMATS: npu_schedule.pool average %{{.*}} -> tensor<1x1x1x32xi8, #npu.layout<nhcwb16>>
// FORMATS: npu_schedule.pool max %{{.*}} -> tensor<1x32x32x32xi8>

// 2. Places. `wide` can be in the cache: no cascade is planned yet, but one that keeps to the limit exists. `deep` cannot:
//    the mean needs all rows before the pool needs the first, so no cascade holds both, and 32768 bytes are more
//    than there is. It is spilled: its type says nothing of `fast`.
//
// RUN: npu-opt %s -p '%{placed}' | filecheck %s --check-prefix=PLACED
// PLACED: %[[WIDE:.*]] = npu_schedule.conv2d %{{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16, fast>>
// PLACED: %[[DEEP:.*]] = npu_schedule.conv2d %[[WIDE]],{{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16>>
// PLACED: npu_schedule.pool average %[[DEEP]] {{.*}} -> tensor<1x1x1x32xi8, #npu.layout<nhcwb16, fast>>
// PLACED: npu_schedule.pool max %[[DEEP]] {{.*}} -> tensor<1x32x32x32xi8>

// 3. The limit is that of the cache, and the cascade is planned for it: of `wide` a few rows exist at a time, in a rolling
//    buffer of the cache. What it yields is `deep`, whole, in the arena.
//
// RUN: npu-opt %s -p '%{planned}' | filecheck %s --check-prefix=PLANNED
// PLANNED:      npu.sram_limit = 24576 : i64
// PLANNED:      npu_schedule.cascade -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16>> {
// PLANNED-NEXT:   npu_schedule.conv2d {{.*}} stripe <16> rolling <17> : {{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16, fast>>
// PLANNED-NEXT:   npu_schedule.conv2d {{.*}} stripe <16> : {{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16>>
// PLANNED-NEXT:   npu_schedule.yield

// 4. Transfers. The pool would read each row of `deep` in DRAM five times. It becomes a cascade with a transfer: beside each
//    of its launches the two rows arrive that the next one needs, in a rolling buffer of eight rows. The image stays where
//    it is: at the peak of the schedule there is no memory for it.
//
// RUN: npu-opt %s -p '%{staged}' | filecheck %s --check-prefix=STAGED
// STAGED:      %[[DEEP:.*]] = npu_schedule.cascade
// STAGED:      npu_schedule.cascade -> tensor<1x32x32x32xi8> {
// STAGED-NEXT:   %[[NEAR:.*]] = npu_schedule.transfer %[[DEEP]] rolling <8> : {{.*}} -> tensor<1x32x32x32xi8, #npu.layout<nhcwb16, fast>>
// STAGED-NEXT:   npu_schedule.pool max %[[NEAR]] {{.*}} stripe <2>

// 5. Commands. Each buffer says which memory it lies in, and each memory has addresses of its own. A transfer is issued
//    behind the launch that reads the rows before, and so runs beside it.
//
// RUN: npu-opt %s -p '%{commands}' | filecheck %s --check-prefix=COMMANDS
// COMMANDS:      npu_cmd.alloc address <{{.*}}> : !npu.buffer<17408, fast>
// COMMANDS:      %[[DEEP:.*]] = npu_cmd.alloc address <{{.*}}> : !npu.buffer<32768, arena>
// COMMANDS:      %[[ROWS:.*]] = npu_cmd.alloc address <{{.*}}> : !npu.buffer<8192, fast>
// COMMANDS:      npu_cmd.pool max ifm %[[ROWS]] <4x32x32xi8, nhcwb16>
// COMMANDS-NEXT: npu_cmd.dma from %[[DEEP]] <4096> to %[[ROWS]] <4096> size <2048>
// COMMANDS-NEXT: npu_cmd.pool max ifm %[[ROWS]] <6x32x32xi8, nhcwb16>
// COMMANDS-NEXT: npu_cmd.dma from %[[DEEP]] <6144> to %[[ROWS]] <6144> size <2048>

// 6. And it runs: the simulator finds nothing amiss.
//
// RUN: npu-opt %s -p '%{commands},npu-cmd-assign-lut-slots,npu-cmd-set-blockdep,npu-cmd-insert-waits,convert-npu-cmd-to-tfl' -t tflite -o %t.tflite
// RUN: npu-run %t.tflite

// 7. Weights pass through the cache as well. Those above are all equal, and take next to nothing once they are encoded. Here is
//    the network of schedule.test on this machine: one buffer of the cache for all stripes of a cascade.
//
// DEFINE: %{other} = %{target},tfl-partition,convert-tfl-to-tosa,convert-tosa-to-npu-schedule,convert-tfl-to-npu-schedule
// DEFINE: %{cut} = npu-schedule-select-formats,npu-schedule-place-feature-maps,npu-schedule-limit-sram,npu-schedule-plan-cascades,npu-schedule-form-cascades
// RUN: npu-opt %models/tour.tflite -p '%{other},%{cut},npu-schedule-stage-operands,%{buffered}' | filecheck %s --check-prefix=BUFFERED
// BUFFERED: %[[W:.*]] = npu_schedule.weight_buffers : !npu.buffer<4784, fast>
// BUFFERED: npu_schedule.cascade
// BUFFERED: npu_schedule.conv2d {{.*}} buffers <1> through %[[W]] :
