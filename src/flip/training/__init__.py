"""Train a model on embeddings and bags of words: objectives, whitening, the loop, calibration, and the run folder."""
