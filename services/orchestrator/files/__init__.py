"""Configuration as files: what is live, as YAML in a folder that stands under version control."""
