"""What a request is: identity, context and facts. Standard library only."""
