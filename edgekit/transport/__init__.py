"""Transports: how files of a bundle or a channel move, from sources that nobody trusts."""
