"""What commands print of their reports for people."""
