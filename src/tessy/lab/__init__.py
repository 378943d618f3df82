"""A pair of small models of our own, and the world of tasks that they live in.

Each imports only from those above it.

    world           what a family of tasks is, and what its solutions are made of
    families        the five families: how each is solved, step by step
    questions       drawing questions from reasoning-gym, in three splits that share none
    voices          two ways to talk about the same steps; rendering a solution in them
    corpus          what each model is trained on: prompts, thinking, answers
    vocabulary      the two tokenizers, trained on the corpus, with their chat templates
    settings        sizes of the models and of their training
    train           training one of them from nothing, in a way that can be stopped
    score           how many test questions a model answers rightly
    segments        labelled segments for `tessy predictor train`
    pair            where the shipped files lie
"""
