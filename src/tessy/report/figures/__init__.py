"""Figures: numbers about finished runs, computed from their samples and nothing else.

    intervals    ratios of sums, with bootstrap intervals over questions
    sample       a sample that ended
    accounts     samples, tokens, requests and seconds
    lengths      histograms of responses and spans
    word_counts  how often each word or token occurs in each sample, sparse
    similarity   TF-IDF cosines between runs, and their principal components
    words        the most frequent words, and those whose frequency differs most
    likelihood   negative log-likelihood under the student, by author
    style        hand-over words, discarded text, forced spans, the predictor's confidence

Each module imports only from those above it. A class named `…Counter` takes the samples of a run
one at a time (`add`), so that no text is kept. Arrays have a row for each sample or question.
"""
