"""What is true now, as data and in words."""
