"""Records → text: JSON, JSON lines, CSV and the table; nothing here computes or prints."""
