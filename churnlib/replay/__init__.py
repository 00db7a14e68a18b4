"""Weeks of history played through the decisions under several policies."""
