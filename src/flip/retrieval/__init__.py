"""Evaluate retrieval by cosine, and tell by words why a chunk was missed."""
