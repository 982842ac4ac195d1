"""What each rule does, as one function per rule; workflow/scripts/*.py only pass their arguments."""
