"""How a file, or the quantized graph itself, is run: ONNX Runtime, LiteRT, and the NumPy integer reference."""
