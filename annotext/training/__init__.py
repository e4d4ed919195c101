"""Recipes to runs. The only room that knows torch, mmpose and mmengine."""
