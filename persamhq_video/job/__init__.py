"""Jobs: what is to be run, planned, checked and sent to the workers."""
