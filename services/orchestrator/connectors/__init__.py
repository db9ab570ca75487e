"""Where Concert itself delivers: one module for each connector, and the guarded way out."""
