"""What ships for people who write an exporter or a pass: small nets, single-operator cases, exporter checks."""
