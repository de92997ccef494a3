"""Use a model from Python: fit or load it, and explain a sentence or a vector."""

from flip.lens.lens import Lens, fit, load, require_matrix, require_texts

__all__ = ["Lens", "fit", "load", "require_matrix", "require_texts"]
