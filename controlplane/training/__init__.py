"""Training: recipes, the Runs of them, and what a Run gave. Where and how a Run's process lives is behind a port."""
