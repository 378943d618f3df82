"""Models: one protocol to every one of them, `/v1/completions`.

    address     how a model is named: a URL, or weights for which a local server is started
    weights     the GGUF file of such weights: `lab:`, `gguf:`, `hf:`
    local       llama.cpp's server in a child process
    wire        the protocol's bodies, built and parsed; no I/O
    http        a request, and its answer as it comes
    stream      a streamed completion: an async iterator of events
    client      calls to one server: retries, time-outs, a limit on how many at once
    replicas    several servers of one model: which of them a trajectory has
    probe       what a server can do
    logprobs    log-probabilities of a prompt's tokens, from servers that return them
    tokenizers  text to token ids and back
    templates   chat formats: how a question and its thinking are shown to a model
    prefix      what one model has seen of one draft, append-only
    session     one model in one draft: it continues the text
    open        models: from their settings to something that can be asked
    doctor      what `tessy doctor` finds out about them

Each imports only from those above it.
"""
