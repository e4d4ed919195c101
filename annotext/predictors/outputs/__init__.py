"""Output kinds of models: their tensors, and how points are decoded from them."""
