"""Where the schema `ingest` is and what brings it up to date.

`source`          a registered publisher and what ingest was told about it
`source_key`      what it shows the collector, by hash; ended ones stay for the record
`source_counter`  how many records a source published, and how many of them failed
`event_schema`, `event_schema_version`        the tracking plan: drafts, and what was published
`discovered_type`, `discovered_property`      which events and properties were seen
"""

from pathlib import Path

SCHEMA = "ingest"
MIGRATIONS = Path(__file__).parent / "migrations"
