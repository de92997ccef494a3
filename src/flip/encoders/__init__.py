"""Turn text or speech into vectors. Each encoder is a file of its own, imported only when it is named."""

from flip.encoders.base import DEFAULT_ENCODER, Encoder, EncoderOptions, encode
from flip.encoders.catalog import load_encoder

__all__ = ["DEFAULT_ENCODER", "Encoder", "EncoderOptions", "encode", "load_encoder"]
