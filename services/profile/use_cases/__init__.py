"""One verb a file, each inside one transaction."""
