"""The nets of the race, each as one float ONNX file that every tool starts from."""
