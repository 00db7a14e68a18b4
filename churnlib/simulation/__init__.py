"""Businesses whose truth is known: for the demo, the replay and the tests."""
