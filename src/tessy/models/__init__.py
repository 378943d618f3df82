"""Models: every one is a `/v1/completions` server.

    address     model names: a URL, or weights for which a local server is started
    weights     the GGUF files of such weights: `lab:`, `gguf:`, `hf:`
    local       llama.cpp's server in a child process
    wire        request and response bodies, built and parsed; no I/O
    http        an HTTP request and its response
    stream      a streamed completion: an async iterator of events
    client      calls to one server: retries, timeouts, a limit on concurrent calls
    replicas    several servers of one model, and which of them a trajectory uses
    probe       what a server can do
    logprobs    log-probabilities of a prompt's tokens, from servers that return them
    tokenizers  text to token ids and back
    tracing     text that knows where each of its characters came from
    chat_template  Jinja templates, rendered as transformers does, within bounds
    rendering   a conversation as text, in which every message is, or it is refused
    templates   chat formats: how a question and its thinking become a prompt
    prefix      the prompt of one model in one draft, append-only
    session     one model in one draft: it continues the text
    checks      what settings say of models, before one is opened
    open        opens models: from settings to servers that are ready for calls
    pace        how fast a server answers, and what its KV cache holds
    doctor      the checks of `tessy doctor`

Each imports only from those above it.
"""
