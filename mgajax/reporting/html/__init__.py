"""Parts of HTML pages, of what they are given."""
