"""Calibration inputs for models that come without data, made from what their BatchNorms remember."""
