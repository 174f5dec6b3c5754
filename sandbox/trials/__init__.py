"""What tries the product: demo, broken recipes, soak, benchmark."""
