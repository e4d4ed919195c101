"""Recipes to runs. The only package that knows torch, mmpose and mmengine."""
