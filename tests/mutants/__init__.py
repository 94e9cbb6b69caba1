"""Mutants: each takes one guarantee away, and tests that are named for it must then turn red. `make mutants` runs all.

    distribution, keeping, signing, site, sticks_and_berths, untrusted (data) → table → checkout (a copy) → __main__

Nothing is changed in place. A mutant whose text is not found, or found twice, is an error: the code moved on and the
table did not.
"""
