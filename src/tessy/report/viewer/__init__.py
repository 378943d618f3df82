"""`tessy view`: pages about runs for a browser on the same machine.

    filters    which samples a list shows, from a query string and back
    totals     what samples come to: right ones, the teacher's share, tokens
    indexed    what the index holds of a sample: its row in a list, and its words
    journals   the journals of the run, also those of shards that begin later
    index      a small file with the rows and words of all samples
    search     asks the index
    updates    keeps the index up to date while the run goes on
    sample     one sample, as its page shows it
    compare    two responses word by word
    formulas   formulas in Markdown
    rendered   text as Markdown, its authors still marked
    pages      renders pages
    writing    what a form says a reader decided
    files      what pages load
    access     which requests are answered, and what a browser may do with the answers
    served     the runs that are shown
    handlers   what each address answers
    server     the server: `serving`

Each module imports only from those above it. Journals are only ever read; what readers decide is
kept beside them (`tessy.runs.reviews`).
"""
