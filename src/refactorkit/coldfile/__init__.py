"""Files for cold storage: encrypted with a passphrase, in frames, readable as a stream."""
