"""Sentences to learn from and to measure on: corpora, splits, further sentences, and the manifest of all."""
