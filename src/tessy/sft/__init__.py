"""Training a student on what was written, and carrying the result to where it is served.

Each imports only from those above it.

    gguf        a trained Llama as a GGUF file for llama.cpp
"""
