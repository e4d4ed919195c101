"""Reviewers' decisions and what becomes of them. No FiftyOne here."""
