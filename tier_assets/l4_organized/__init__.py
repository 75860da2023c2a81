"""L4: statements with the exact span of their evidence, and a search index over them."""
