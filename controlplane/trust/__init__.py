"""Whom boxes trust: the certificate authority, a small one of our own behind a seam where step-ca or Vault may stand
later, and the signed metadata that says which releases may run and where.
"""
