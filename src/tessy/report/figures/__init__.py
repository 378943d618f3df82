"""Figures: numbers about finished runs, computed from their samples and nothing else.

    intervals   ratios of sums, with intervals over questions
    sample      a sample that ended
    accuracy    how many answers are right, and runs compared question by question
    accounts    samples, tokens, requests and seconds
    lengths     histograms of responses and spans
    words       how often each word occurs, sparse; frequent words, and words that differ
    similarity  TF-IDF cosines between runs, and their principal components
    likelihood  negative log-likelihood under the student, by author
    style       hand-over words, discarded text, forced spans, the predictor's confidence

Each module imports only from those above it. A class named `…Counter` takes the samples of a run
one at a time (`add`), so that no text is kept. Arrays have a row for each sample or question.
"""
