"""flip inside other libraries: an evaluator for sentence-transformers, names for the topics of BERTopic."""
