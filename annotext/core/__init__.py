"""What poses are and what can be computed from them: numpy only, pure functions, no files, no printing."""
