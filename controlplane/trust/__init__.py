"""The certificate authority: a small one of our own, behind a seam where step-ca or Vault may stand later."""
