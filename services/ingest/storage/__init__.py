"""What ingest keeps in PostgreSQL: sources and their keys. The only SQL of the service."""
