"""Images and boxes to keypoints: a model and the card that says how to run it."""
