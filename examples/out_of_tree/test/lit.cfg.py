"""lit configuration: `lit test`, where npuc and this package are installed."""

import os
import sys

import lit.formats

config.name = "own-passes"
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(config.test_source_root, "..", "build", "lit")
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
config.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
config.substitutions.append(("npu-opt", f"{sys.executable} -m npuc.tools.npu_opt"))
