"""The accuracy ladder: rungs that each propose a better quantized graph, and the climb that keeps what helps."""
