"""The table of bad inputs, row by row, through the public door: what each gets, and that the server stays as it was."""
