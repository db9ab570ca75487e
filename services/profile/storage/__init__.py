"""The only SQL of the profile service. Nothing here decides anything; it loads, locks and writes."""
