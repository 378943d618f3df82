"""`tessy view`: pages about a run's samples for a browser on the same machine.

    filters    which samples a list shows, from a query string and back
    index      a small file with what lists and filters need of each sample, and their words
    search     asks the index
    updates    keeps the index up to date while the run goes on
    sample     one sample, as its page shows it
    pages      renders pages
    access     which requests are answered, and what a browser may do with the answers
    server     what each address answers, and the server: `serving`

Each module imports only from those above it. The journal is only ever read.
"""
