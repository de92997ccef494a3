"""Read stores of vectors, in any of the formats, as one table."""
