"""edgekit: a trained torch model made small, fast and provable on the devices people own."""

__version__ = "0.1.0"
