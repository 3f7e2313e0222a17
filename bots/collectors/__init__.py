"""Collectors: fetch reports from outside."""
