"""Makes a graph smaller: quantization now; pruning and distillation join it here."""
