"""Exact XGBoost margins and exact TreeSHAP contributions, many times faster than XGBoost, from plain wheels.

`TreeEngine` in `engine.py` is the way in; the other modules are its parts.
"""
