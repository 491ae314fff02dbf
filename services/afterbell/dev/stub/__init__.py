"""An OpenAI-compatible server that writes reports with the extractive engine, and fails on request."""
