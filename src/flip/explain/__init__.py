"""Explain vectors by words: keywords of a stream of records, of pairs, and the page that shows them."""
