"""The nouns of edgekit: frozen dataclasses that every stage takes and hands on (numpy only)."""
