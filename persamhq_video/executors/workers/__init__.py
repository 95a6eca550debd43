"""The workers' side of an executor: pools, the worker, its features, its frame readers."""
