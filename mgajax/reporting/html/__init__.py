"""Blocks of pages, and HTML and Markdown made from them."""
