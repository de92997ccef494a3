"""Measure a model: metrics, baselines, comparisons, plots and the report."""
