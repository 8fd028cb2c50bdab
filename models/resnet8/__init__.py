"""ResNet-8 of MLPerf Tiny, for digits of 28x28."""
