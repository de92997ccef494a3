"""Embed inputs into a file, a batch at a time; an interrupted run continues."""
