"""Proofs that scripts and tests share."""
