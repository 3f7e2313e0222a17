"""The bots that ship with cleanbots: one file is one bot, its name is the file's."""
