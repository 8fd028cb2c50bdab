"""What a training script imports: prune, distill, quantization-aware training, and callbacks of training libraries."""
