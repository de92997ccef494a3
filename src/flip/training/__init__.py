"""Embeddings and bags of words to a model: objectives, whitening, the loop, calibration, and the run folder."""
