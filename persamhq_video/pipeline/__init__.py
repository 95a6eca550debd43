"""The pipeline: videos of a job are planned, run on one pool of workers, and their results written."""
