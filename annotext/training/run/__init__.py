"""The training run: loop, checkpoints, validation, several processes."""
