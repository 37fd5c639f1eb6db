"""Passes between levels (`convert_*.py`), the TFLite importer and exporter, and the emitter."""
