"""Training configurations: their schema and how they are read."""
