"""The names of what comes out of every segmentor here."""

# In the order in which they are shown.
MAPS = ('aleatoric', 'epistemic', 'total')
UNITS = dict(aleatoric='nats', epistemic='nats', total='nats of surprise')
PERCENTILE = '_percentile'  # behind the name of a map, or of the next
NOVELTY = 'image_novelty'
STATISTICS = 'image_statistics'  # of which the novelty is the distance
