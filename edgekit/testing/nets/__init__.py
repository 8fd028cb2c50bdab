"""Small networks with the structure of real families, for tests and for authors of passes and exporters."""
