"""Numbered steps of the store's schema, forward only: ``NNNN_what.sql``. A step that was released never changes."""
