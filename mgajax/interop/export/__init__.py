"""Trained runs as files of other formats, checked, with a model card beside them.

A room of its own, since training imports interop (weights in) and this imports training.
"""
