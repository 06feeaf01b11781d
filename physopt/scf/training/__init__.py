"""Training of the response kernel."""
