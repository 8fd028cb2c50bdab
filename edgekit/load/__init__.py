"""Reads what the user hands over: models of any form, calibration data, projects."""
