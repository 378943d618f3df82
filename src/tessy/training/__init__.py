"""Training a student on what was written, and carrying the result to where it is served.

Each imports only from those above it.

    masks       which tokens carry loss: from spans to labels; pure
    vocabulary  a tokenizer as llama.cpp keeps it
    gguf        a trained Llama as a GGUF file for llama.cpp
    settings    how to train
    losses      loss curves, and what a checkpoint says of its steps
    folder      what lies in the folder of a training
    data        reading samples
    render      a sample as the student sees it, in tokens
    prepare     from a data set to the tokens that are trained on
    epochs      what is kept of each epoch
    curve       learning curves: how many questions each epoch answers rightly
    exam        what each epoch is asked, checked before training
    child       a process that ends when the training is to end
    sitting     one evaluation, in such a process
    card        the card of a trained student
    quiet       what libraries say of themselves, held back
    student     the model to train
    evaluate    evaluating each epoch as it ends
    fit         TRL's trainer
    train       all of it, resumed where it was stopped
"""
