"""The HTTP side of ingest: the collector for channel systems, sources and keys for people."""
