"""
npuc: an MLIR-style compiler from quantised TFLite to Arm Ethos-U55/U65 command streams.

The sub-packages are relative links to the top-level folders of the repository, so that the
source stands where a reader looks for it while imports stay `npuc.dialects`, `npuc.passes` ...
"""

import os

__version__ = "0.1.0"

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "dialects")):
    raise ImportError(
        "npuc/dialects is no folder: this copy of npuc was made without symbolic links. Clone it again with "
        "`git clone -c core.symlinks=true` (on Windows in developer mode), or install a wheel"
    )
