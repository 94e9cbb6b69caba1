"""Who this box is: joined once with a token, then a certificate that renews itself. Decisions here, files and
cryptography in agent.adapters.
"""
