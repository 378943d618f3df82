"""Analysis: numbers about finished runs. Pure computing; who reads and shows is elsewhere.

    figures     a figure with its bootstrap interval over questions
    sample      a sample that ended, as the analyses want to see it
    accounts    what a run came to: samples, tokens, requests, seconds
    lengths     histograms
    bags        how often each word or token occurs in each sample, sparse
    similarity  TF-IDF cosines between runs, and their principal components
    words       the most frequent words, and those whose frequency differs most
    likelihood  negative log-likelihood under the student, by author
    style       hand-over words, what was discarded, forced words, the predictor's confidence

Each imports only from those above it. Arrays have a row for each sample or question.
"""
