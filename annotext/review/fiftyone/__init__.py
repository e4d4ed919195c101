"""Review sessions in FiftyOne. The only package that imports fiftyone."""
