"""Models: one protocol to every one of them, `/v1/completions`.

    address      how a model is named: a URL, or weights for which a local server is started
    weights      the GGUF file of such weights: `lab:`, `gguf:`, `hf:`
    local        llama.cpp's server in a child process
    wire         the protocol's bodies, built and parsed; no I/O
    stream       one streamed answer, read as it comes
    faults       what goes wrong with a call, as errors, and when to try again
    following    an attempt to read a stream, and who reads it
    client       calls, with retries, time-outs and a limit on how many at once
    replicas     several servers of one model: which of them a trajectory has
    probe        what a server can do
    tokens       text to ids and back
    formats      chat formats: how a question and its thinking are shown to a model
    prefix       what one model has seen of one trajectory, append-only
    voice        one model in one trajectory: it continues the text
    open         both models: from their settings to something that can be asked
    doctor       what `tessy doctor` finds out about them
    logprobs     log-probabilities of a prompt's tokens, from servers that return them

Each imports only from those above it.
"""
