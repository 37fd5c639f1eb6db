"""
npuc: an MLIR-style compiler from quantised TFLite to Arm Ethos-U55/U65 command streams.

The sub-packages are relative links to the top-level folders of the repository, so that the
source stands where a reader looks for it while imports stay `npuc.dialects`, `npuc.passes` ...
"""

__version__ = "0.1.0"
