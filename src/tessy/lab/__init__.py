"""Small models of our own, and the world of tasks that they live in.

Each imports only from those above it.

    world           what a family of tasks is, and what its solutions are made of
    families        the four families: how each is solved, step by step
    questions       drawing questions from reasoning-gym, in three splits that share none
    voices          two ways to talk about the same steps; rendering a solution in them
    members         the models: what each plays, and in which voice
    corpus          what each model is trained on: prompts, thinking, answers
    vocabulary      the two tokenizers, trained on the corpus, with their chat templates
    settings        sizes of the models and of their training
    encode          examples as token ids, as synthesis shows them to a model
    batches         batches of these, each by its number
    score           how many questions a model answers rightly, for the training's log
    segments        labelled segments for `tessy predictor train`
    card            the card of a trained model
    network         the network, and how it is optimized
    train           training one of them, in a way that can be stopped
    study           every method's data, a student trained on each, measured
"""
