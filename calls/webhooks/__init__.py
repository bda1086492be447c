"""Doors for the phone company."""
