"""Who may come in: boxes by join token and certificate, people by API token, sign-in code and session."""
