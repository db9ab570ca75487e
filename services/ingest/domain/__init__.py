"""What an event says: pure functions from a channel's bytes to a touchpoint.

No IO, no clock, no random, no logging: the same bytes at the same position give the same result,
on every machine and on every day.
"""
