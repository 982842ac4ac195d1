"""Arrangements of tensors as 2-D planes, for coders that expect images."""
