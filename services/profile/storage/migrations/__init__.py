"""The history of the schema `profile`; revisions never change once they are released."""
