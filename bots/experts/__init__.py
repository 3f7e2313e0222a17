"""Experts: change, add to, route or drop events."""
