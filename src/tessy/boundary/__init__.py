"""Boundary predictors: they find where text of the other kind than its writer's begins.

protocol      what a predictor is
registry      predictors by name
batcher       asks a predictor for many trajectories at once
lexicon       a predictor made of word lists
classifier    predictors made of a token classifier: windows, words, thresholds
decision      from P(style) of words to a judgement
window        the one that ships: a small network over the words around a word
settings      how a classifier is read, and how one is trained
onnx          a classifier run by onnxruntime
transformers  a classifier run by torch
served        a classifier on a vLLM server
training      annotating text, training and measuring predictors
"""
