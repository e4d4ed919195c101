"""What each command does, callable from Python: one function, one report dataclass."""
