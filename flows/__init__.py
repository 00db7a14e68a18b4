"""The use cases as Prefect flows, and the commands."""
