"""How the boundary predictor that ships, `english-2`, was made and measured; docs/boundary.md.

    traces    the public traces that all segments were drawn from
    draw      draws the segments that were labelled by reading
    make      makes the predictor
    table     the tables of docs/boundary.md
    code      labelled segments about code, whose text is not ours to ship

`read.jsonl` holds the segments for training that were labelled by reading; `first.jsonl` and
`second.jsonl` are two readings of the same segments; `languages.jsonl` is in other languages;
`code.jsonl` holds the labels of the segments about code.
"""
