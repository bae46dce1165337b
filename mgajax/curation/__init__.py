"""From downloads to slices: reading, matching, verifying and reporting; nothing here trains."""
