"""Review: reviewers' decisions and what becomes of them, and the review sessions in FiftyOne."""
