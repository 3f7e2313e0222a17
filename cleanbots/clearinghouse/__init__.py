"""Members, findings and deliveries."""
