"""How well every score ranks pixels, on networks that nobody tuned on."""
