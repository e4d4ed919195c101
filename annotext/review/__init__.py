"""Review sessions. The only room that knows fiftyone; nothing stands here yet."""
