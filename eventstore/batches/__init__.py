"""What stands beside the log about long batches: the bodies that are not carried out yet."""
