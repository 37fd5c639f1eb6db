// The machine is an attribute of the module, so that any later pass runs alone on any file.
// RUN: npu-opt %s -p 'npu-set-target' | filecheck %s --check-prefix=DEFAULT
// RUN: npu-opt %s -p 'npu-set-target{accelerator="ethos-u65-256" memory-mode="Sram_Only" limit=65536}' | filecheck %s --check-prefix=U65
// RUN: npu-opt %s -p 'npu-set-target{external-inputs=true}' | filecheck %s --check-prefix=EXTERNAL
// RUN: not npu-opt %s -p 'npu-set-target{accelerator="ethos-u99"}' 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not npu-opt %s -p 'npu-set-target{accelerator="ethos-u55-64" memory-mode="Dedicated_Sram"}' 2>&1 | filecheck %s --check-prefix=MODE
// RUN: not npu-opt %s -p 'npu-set-target{config="missing.ini"}' 2>&1 | filecheck %s --check-prefix=INI

// The defaults are vela's, each accelerator has its own.
// DEFAULT: npu.target = #npu.target<"ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram">
// U65: npu.target = #npu.target<"ethos-u65-256", "Ethos_U65_Client_Server", "Sram_Only", limit 65536>

// What does not exist, or not on this machine, is one line.
// EXTERNAL: npu.target = #npu.target<"ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram", external_inputs>
// UNKNOWN: error: {{.*}}npu-set-target: {{.*}}ethos-u99
// MODE: error: {{.*}}Dedicated_Sram{{.*}}OffChipFlash{{.*}} which is not writable
// INI: error: {{.*}}missing.ini: no such configuration file
builtin.module {}
