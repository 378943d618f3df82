"""Writing samples: the loop of one trajectory, drafts, methods, and the run as a whole."""
