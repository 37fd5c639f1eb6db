"""The TFLite file: its schema as data, import and export."""
