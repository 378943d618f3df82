"""The small models that ship with tessy: the world of tasks that they live in, and their training.

`python -m studies.lab questions|segments|train`; docs/lab.md describes it. Each module imports only
those above it.

    world         a family of tasks, and the parts of its solutions
    families      the four families: how each is solved, step by step
    questions     draws questions from reasoning-gym, in three splits that share none
    voices        two ways to talk about the same steps; writes a solution in them
    members       the models: the role of each, and its voice
    corpus        what each model is trained on: prompts, thinking, answers
    segments      labelled segments for `tessy predictor train`
    spans         how long style spans are, in real traces and in the corpora
    vocabulary    the two tokenizers, trained on the corpus, with their chat templates
    settings      sizes of the models and settings of their training
    encode        examples as token ids, as synthesis shows them to a model
    batches       batches of these, each made from its number
    score         how many questions a model answers right, for the training's log
    card          the card of a trained model
    network       the network and its optimizers
    train         trains one of them; can be stopped and resumed
"""
