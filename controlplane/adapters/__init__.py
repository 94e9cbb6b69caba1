"""Adapters of the control plane: one vendor library or one place of storage each, errors translated here."""
