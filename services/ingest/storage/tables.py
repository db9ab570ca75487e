"""Where the schema `ingest` is and what brings it up to date.

`source`      a registered publisher and what ingest was told about it
`source_key`  what it shows the collector, by hash; ended ones stay for the record
`failed_event` an event that could not be read, and why
"""

from pathlib import Path

SCHEMA = "ingest"
MIGRATIONS = Path(__file__).parent / "migrations"
