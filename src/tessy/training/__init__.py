"""Training a student on a data set, and writing it in the form that llama.cpp serves.

Each imports only from those above it.

    masks            which tokens carry loss: from spans to labels; pure
    gguf_vocabulary  a tokenizer as llama.cpp has it
    gguf             a trained Llama as a GGUF file for llama.cpp
    settings         how to train
    losses           the loss at each step, and the state that a checkpoint holds
    folder           the files of a training
    dataset          reading samples
    render           a sample as the student sees it, in tokens
    prepare          from a data set to the tokens that are trained on
    epochs           the model that is kept of each epoch
    learning_curve   how many questions each epoch answers correctly
    plots            both as pictures
    card             the card of a trained student
    signals          Ctrl-C, SIGTERM and SIGHUP
    evaluator        evaluates each epoch as it ends
    student          the model to train
    trainer          TRL's trainer
    train            all of it, resumed where it was stopped
"""
