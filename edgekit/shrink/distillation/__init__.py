"""What a student learns from a teacher: losses as plain `nn.Module`s that need no trainer."""
