"""The HTTP side of the orchestrator: configuration, decisions, and the test clock."""
