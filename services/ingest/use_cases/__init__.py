"""What ingest does: accept records from Kafka, collect requests, register sources and keys."""
