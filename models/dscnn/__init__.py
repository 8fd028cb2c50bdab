"""DS-CNN, depthwise separable convolutions, for digits of 28x28."""
