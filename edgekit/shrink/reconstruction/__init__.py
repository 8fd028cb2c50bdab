"""Learned quantization: rounding, biases and ranges that make the int8 graph rebuild the float graph's values."""
