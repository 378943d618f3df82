"""Making predictors: annotate text, train a classifier, measure it.

segments   pieces of reasoning with their style marked; drawing them, their files
traces     reading the thinking of data sets and runs
annotate   having segments labelled by a model or a predictor
locate     finding the spans of an annotator's answer in a segment
train      from a segment file to the folder of a predictor
fit        the part of training that needs torch
calibrate  temperature, bias and thresholds
walk       labelling a text with a predictor as synthesis would
metrics    how far two labellings are apart
evaluate   all figures of a predictor
report     figures as JSON, and as a page with the worst cases
"""
