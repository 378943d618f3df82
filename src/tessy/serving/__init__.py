"""`tessy serve`: the pair as one model, for programs that speak OpenAI's protocol.

    refusals     errors in OpenAI's shape
    settings     the settings of a run that a server has
    parameters   the parameters of a request: what is honoured, and what is refused
    requests     a request's body, checked: what a client asks for; pure
    names        the models that a server lists: a method each
    choices      one response, written, and how it ended; pure
    live         what was sent of a response, and what may be sent now; pure
    responses    bodies and events of responses; pure
    admission    how many samples are written at once, how many wait, and who is sent away
    metrics      /metrics, for Prometheus
    served_run   what was served, as a run
    service      writes what a request asks for
    streaming    a response as server-sent events, while it is written
    handlers     what each address answers
    server       opens models, listens, and ends in an orderly way

Each imports only from those above it.
"""
