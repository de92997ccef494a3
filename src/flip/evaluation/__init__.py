"""How good a model is: metrics, baselines, comparisons, plots and the report."""
