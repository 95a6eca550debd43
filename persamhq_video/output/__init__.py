"""The result folder: its journal, its snapshots, and the sinks that write into it."""
