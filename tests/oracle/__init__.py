"""The oracle: what Concert must have done, computed again by one thread from the raw records.

It imports nothing of `services` or `shared` (an import contract enforces it): what it says comes
from the documented semantics alone, so a mistake in the product cannot repeat itself here. It
covers what the tests feed in: native and Segment records, identities that hit no limit but the
veto, and rules of an event trigger with a comparison.
"""
