"""What a prediction costs: plain, with densities, sampled, in ensembles."""
