"""Other packages' names, for scripts that were written for those packages."""
