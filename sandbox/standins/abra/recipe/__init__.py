"""What follows from a recipe's files alone: lint rules, secrets, and the override file of a deploy."""
