"""Quantization-aware training: the graph that will be int8, trained while it rounds."""
