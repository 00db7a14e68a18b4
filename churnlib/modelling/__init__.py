"""Fit, calibrate, evaluate, release, score."""
