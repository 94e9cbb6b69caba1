"""A release over a bad link: the control plane's files behind a wire that is cut, counted and slow."""
