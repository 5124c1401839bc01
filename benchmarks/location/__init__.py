"""Does one set of Gaussians serve all places in the image?"""
