"""Content addresses: what IPFS and BitTorrent call some bytes, and the files in which they exchange them."""
