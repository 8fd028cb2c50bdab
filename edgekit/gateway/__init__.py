"""Gateway: a read-only HTTP server of blocks, blobs and channel files that a machine holds anyway."""
