"""`tessy view`: a run's samples as pages for a browser on the same machine.

    filters     what a list shows, from a query string and back
    facts       what the index keeps of a sample
    index       the side index: a small file beside the journal's gigabytes
    search      asks it
    follow      keeps it in step with the journal, and tells who watches
    trace       one sample, as its page shows it
    pages       renders pages
    guard       who may ask, and what a browser may do with the answer
    handlers    what each address answers
    server      serves them

Each imports only from those above it. The journal is only ever read.
"""
