"""Recipes: model definition, train, export, card. Run, never imported by the two planes; the only torch importers."""
