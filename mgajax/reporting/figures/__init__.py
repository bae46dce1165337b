"""Figures: they draw what they are given, and know nothing of runs."""
