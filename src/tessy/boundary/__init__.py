"""Boundary predictors: they find where the kind of text changes.

protocol      what a predictor is asked, and says
verbatim      code, quotes and formulas, in which a marker is no style
lexicon       the built-in predictor: discourse markers, fillers and hedges
transformers  any token classifier of Hugging Face
registry      predictors by name
judge         asks them from many trajectories at once
"""
