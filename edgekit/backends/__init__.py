"""Other calibrators: they choose scales and integers, edgekit's exporters and checks do the rest."""
