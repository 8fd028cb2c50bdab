"""The demo: EfficientNet-Lite0 with its real weights, compressed on real photographs, told photo by photo."""
