"""Tables, pages, plots and pictures: how results are shown."""
