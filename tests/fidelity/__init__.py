"""Answers of the engine against plain PEFT with one adapter: every family, head and method."""
