"""The documents in `docs/contracts/`: made from the code, fresh, and never silently broken."""
