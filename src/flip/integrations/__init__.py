"""flip inside other libraries: an evaluator for sentence-transformers, names for topics of BERTopic, batches of Ray."""
