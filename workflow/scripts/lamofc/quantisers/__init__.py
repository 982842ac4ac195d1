"""Quantisers: real numbers to small integers and back."""
