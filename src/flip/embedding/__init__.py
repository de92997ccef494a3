"""Inputs to an embedding file, a batch at a time: a run that is stopped goes on where it was."""
