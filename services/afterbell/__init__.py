"""Afterbell: tutoring-session reports, queued, written by workers and kept in PostgreSQL."""

__version__ = "0.1.0"
