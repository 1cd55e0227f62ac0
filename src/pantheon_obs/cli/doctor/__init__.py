"""`pantheon-obs doctor`: what is wrong with the set-up of an application."""
