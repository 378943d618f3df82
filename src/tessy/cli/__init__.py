"""The command line: one small module for each command. Heavy imports come after parsing."""
