"""Fits what the core applies: how far added points can be trusted. The only room that knows scikit-learn."""
