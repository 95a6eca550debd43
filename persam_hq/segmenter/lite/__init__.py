"""lite's tracker: localization, the mask head, the memory, and the configuration that holds all of their numbers."""
