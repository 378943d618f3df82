"""Algorithm 1 as pure decisions: text units, spans, turns, reading a stream. No I/O."""
