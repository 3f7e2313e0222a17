"""Outputs: hand events to the outside."""
