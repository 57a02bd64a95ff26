"""What is known of a model from its own small files. Standard library only."""
