"""What the scores are good for: decisions, and what they cost and save."""
