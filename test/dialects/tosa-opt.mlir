// Arm's tosa-opt (LLVM) reads what we print, and we read what it prints: nothing is lost either way.
// REQUIRES: tosa-opt
// RUN: npu-opt %S/tosa.mlir | tosa-opt - | npu-opt | filecheck %S/tosa.mlir
// RUN: npu-opt %S/tosa.mlir --print-op-generic | tosa-opt - --mlir-print-op-generic | npu-opt | filecheck %S/tosa.mlir
