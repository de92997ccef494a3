"""Analyses of whole stores of vectors: words, groups, search, drift and audit."""
