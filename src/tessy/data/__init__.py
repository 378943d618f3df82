"""Rows, questions and records: what goes in and what comes out."""
