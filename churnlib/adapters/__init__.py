"""Fulfil the ports with real parts: SQL, files, MLflow, Evidently."""
