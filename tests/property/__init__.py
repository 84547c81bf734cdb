"""Laws, tried on made-up cases."""
