"""The local stack: real Kafka, real PostgreSQL and every role on one machine, from packages."""
