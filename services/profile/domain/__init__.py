"""What a profile is and how it changes: pure functions, without IO, clock, random or logging."""
