"""Text to words: normalisation, tokenizers, vocabularies, bags of words, writing systems."""
