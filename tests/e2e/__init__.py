"""The server as a whole: answers under mixed traffic, and its life as a process."""
