"""One file an operator family: functions that write a tfl operation as tosa operations. See convert_tfl_to_tosa."""
