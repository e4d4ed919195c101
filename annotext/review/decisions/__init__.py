"""What reviewers decide and what becomes of it. No FiftyOne here."""
