"""The mathematics, in plain torch; imports nothing of mm*."""
