"""Read inputs: sentences, JSON lines, tables, recordings, embedding files, each detected by its content."""
