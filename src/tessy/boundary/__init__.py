"""Boundary predictors: where style ends and capability begins, and how one learns to tell.

Each imports only from those above it:

    protocol      what a predictor is: Passage, Judgement, Predictor
    settings      how a classifier is read, and how it is trained
    segments      pieces of reasoning with their style marked; drawing them, their files
    metrics       counting how far two labellings are apart
    locate        finding an annotator's answer in its segment
    verbatim      what is no prose: code, formulas, quotes
    traces        reading the thinking of data sets and runs
    lexemes       words as the lexicon looks them up
    phrases       its phrases, compiled
    kinds         what it takes words for, from left to right
    bookmarks     how far texts are judged
    lexicon       a predictor made of word lists
    classifier    predictors made of a token classifier: windows, words, thresholds
    walk          labelling a text as synthesis would
    tagger        the small network that is trained by default
    transformers  a classifier run by torch
    onnx          a classifier run by onnxruntime; the one that ships
    served        a classifier on a vLLM server
    registry      predictors by name
    judge         asks a predictor for many trajectories at once
    annotate      having segments labelled by a model or a predictor
    encode        segments in tokens
    calibrate     temperature, bias and thresholds
    card          the page that a trained predictor comes with
    export        the ONNX file
    fit           the training loop
    train         from a segment file to a predictor's folder
    evaluate      all figures of a predictor
    report        figures as a table, JSON, and a page with the worst cases
"""
