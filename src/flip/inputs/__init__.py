"""What a person gives: sentences, JSON lines, tables, recordings, embedding files. Its content decides what it is."""
