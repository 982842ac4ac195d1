"""Training of the small models that no package ships, by rule; the weights of those in use ship with the project."""
