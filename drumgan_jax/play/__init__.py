"""What can be played: instruments, and the one file that holds one."""
