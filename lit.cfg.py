"""lit configuration: `lit test` or `lit test/passes/x.mlir`, installed or not."""

import os
import shutil
import sys

import lit.formats

config.name = "npuc"
ROOT = os.path.dirname(os.path.abspath(__file__))
config.test_source_root = ROOT
config.test_exec_root = os.path.join(ROOT, "build", "lit")
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["npuc", "build", "Inputs", "models", "docs", "bench", "examples"]

config.environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
config.environment["OPENBLAS_NUM_THREADS"] = "1"
for tool in ("npu-opt", "npu-compile", "npu-run", "npu-profile", "npu-sweep"):
    module = "npuc.tools." + tool.replace("-", "_")
    # The path is given to each command, because lit's own `cat` and `diff` overwrite that of the environment.
    command = f"env PYTHONPATH={ROOT} {sys.executable} -m {module}"
    config.substitutions.append((rf"(?<![\w/.-]){tool}(?![\w.-])", command))
config.substitutions.append(("%models", os.path.join(ROOT, "test", "models")))
config.substitutions.append(("%examples", os.path.join(ROOT, "examples")))

# Arm's tosa-opt is a peer that some tests hold our text against; the suite passes without it.
if shutil.which("tosa-opt"):
    config.available_features.add("tosa-opt")
