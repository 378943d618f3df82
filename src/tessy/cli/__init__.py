"""The command line: one thin module a command. Heavy imports come after parsing."""
