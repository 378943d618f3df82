"""Reports of runs: read, compute, and show as a page, as Markdown, or as JSON.

    traces      samples that are shown whole, and failures
    gather      reads a run's journal once, sample by sample, into what the analyses need
    build       computes everything that a report says
    document    what a report is made of, whatever shows it: sections, tables, charts
    charts      charts as small pictures (SVG)
    overview    sections: what the runs are, accounts, lengths
    alike       sections: similarity, words, likelihood
    manners     sections: style
    sections    all sections, in order
    numbers     a report as JSON
    markdown    a report as Markdown
    page        a report as one HTML file
    make        the whole job, from runs to files

Each imports only from those above it.
"""
