"""Teachers and distillation."""
