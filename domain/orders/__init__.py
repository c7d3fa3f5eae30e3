"""Orders: placed with lines, confirmed, paid from an account, or cancelled."""
