"""Numbers that figures and tables show, derived from the tables that the workflow collects."""
