"""The only SQL of the profile service. It loads, locks and writes; it decides nothing."""
