"""Stores of vectors: what any of the formats has, read as one table."""
