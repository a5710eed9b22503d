"""What is kept in a session folder, and who may work there."""
