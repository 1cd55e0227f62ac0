"""`pantheon-obs doctor`: find the faults in the set-up of an application."""
