"""Stage two: a float ONNX file becomes a clean Graph in the dialect of `types/operators.py`."""
