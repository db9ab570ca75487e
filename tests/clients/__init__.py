"""Real clients against the running service, through a proxy that makes them retry."""
