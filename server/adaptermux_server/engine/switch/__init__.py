"""One adapter at a time, in PEFT's own module trees: serves every method, and is what the bank is compared with."""
