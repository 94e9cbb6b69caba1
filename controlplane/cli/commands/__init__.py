"""One module per command of `longshore`, imported when it runs (see `main.COMMANDS`)."""
