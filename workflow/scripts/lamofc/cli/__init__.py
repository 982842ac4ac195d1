"""What `python -m lamofc` does, apart from its arguments."""
