"""Makes bundles: any multi-input model in, one proven bundle out."""
