"""Small files and the plumbing under all of them: JSON, TOML, Parquet, outputs written whole."""
