"""What tests share: the real stack, databases, topics, role processes, waiting. No test is here."""
