"""Sharing: torrents and an IPFS CAR of a bundle, for people who use those systems with their own programs."""
