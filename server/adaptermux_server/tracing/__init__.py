"""What a call did, told to those who look for it: its id, its span, and the forwards that computed its rows."""
