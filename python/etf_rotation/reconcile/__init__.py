"""What the broker did against what was ordered: files in, identities, cost, tracking."""
