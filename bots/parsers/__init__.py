"""Parsers: make events of reports."""
