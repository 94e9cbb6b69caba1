"""A classifier for a user's own pictures: a folder a class in, release out."""
