"""Judging molecules: verdicts, distances between sets, reports."""
