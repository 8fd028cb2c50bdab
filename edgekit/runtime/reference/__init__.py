"""A plain NumPy interpreter of the quantized graph: the referee of every test and audit."""

from edgekit.runtime.reference.interpreter import ReferenceSession, as_float

__all__ = ["ReferenceSession", "as_float"]
