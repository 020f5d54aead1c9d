"""Timing or genuine."""
