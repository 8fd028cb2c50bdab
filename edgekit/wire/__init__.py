"""Serialized formats walked without their libraries: protocol buffers and flatbuffers, as far as edgekit looks."""
