"""Boundary predictors: they find where text of the other kind than its writer's begins.

protocol      what a predictor is
registry      predictors by name
batcher       asks a predictor for many trajectories at once
lexicon       a predictor made of word lists
classifier    predictors made of a token classifier: windows, words, thresholds
settings      how a classifier is read, and how one is trained
onnx          a classifier run by onnxruntime; the ones that ship
transformers  a classifier run by torch
served        a classifier on a vLLM server
tagger        the small network that is trained by default
training      annotating text, training and measuring predictors
"""
