"""Where facts go: one file or folder per back-end."""
