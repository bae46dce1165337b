"""Numbers and tables of results as text: they format what they are given."""
