"""Making predictors: annotate text, train a classifier, measure it."""
