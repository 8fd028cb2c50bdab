"""Post-training quantization: Graph and Samples in, QuantizedGraph out."""
