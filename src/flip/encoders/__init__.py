"""Turn text or speech into vectors. Each encoder is a file of its own, imported only when it is named."""

import os

from flip.encoders.base import DEFAULT_ENCODER, Encoder, EncoderOptions, encode
from flip.encoders.catalog import load_encoder

# onnxruntime would report its use to its makers, and keep an id in the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["DEFAULT_ENCODER", "Encoder", "EncoderOptions", "encode", "load_encoder"]
