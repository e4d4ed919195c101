"""Predictions and annotations against a truth: OKS, AP, PCK, PCKh and how well scores rank."""
