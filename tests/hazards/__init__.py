"""One test for each hazard of aiokafka 0.14 that loses or mis-places records without a word.

Each shows the hazard with the bare client first, so that it fails when the client gets better and
the guard may go; then that the same thing does no harm through the guard.
"""
