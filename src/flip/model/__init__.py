"""Compute the linear map, and find, read and write the checkpoint folder that keeps it."""
