"""What faults leave behind: nothing."""
