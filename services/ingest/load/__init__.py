"""`python -m services.ingest load`: a batch file goes the way that events go."""
