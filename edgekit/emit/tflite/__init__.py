"""int8 TFLite from the quantized graph: layout tracking, one function per operator, one flatbuffer."""
