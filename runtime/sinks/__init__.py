"""Places that predictions, events and the closing summary go to, one file each."""
