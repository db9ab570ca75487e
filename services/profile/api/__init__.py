"""The HTTP side of the profile service: who is this, what is known of them, and why."""
