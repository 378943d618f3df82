"""Reports about runs: their figures as HTML, Markdown or JSON, and their samples in a browser.

    figures/    numbers, computed from samples
    source      a run as a report reads it
    scoring/    how likely the student finds the texts of a run
    excerpts    samples that the page shows
    report      all that a report says, as numbers: `Report`
    document    sections, tables and charts, in any format
    charts      charts as SVG
    sections/   a report in words: its sections, in order
    formats     a report as HTML, Markdown and JSON
    job         from runs to files: `ReportSettings`, `make_report`, `write_report`

    viewer/     `tessy view`: pages about each sample, served on this machine

Each module imports only from those above it; `viewer` imports none of them.
"""
