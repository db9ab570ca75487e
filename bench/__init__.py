"""What Concert can carry, always measured beside the floor of the same machine in the same run."""
