"""Which data and which tool decide the scales, and the quantized graph that follows."""
