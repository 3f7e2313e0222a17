"""Workers: take a frame, bring its items through a group of bots in slices, commit."""
