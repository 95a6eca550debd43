"""Training configurations: the schema of lite's and of SAM-type models', and the reader of their YAML files."""
