"""The paper's tables from finished runs, measured beside published."""
