"""Prepare sentences to learn from and to measure on: corpora, splits, augmentation, and their manifest."""
