"""Turn text into words: normalisation, tokenizers, vocabularies, bags of words, writing systems."""
