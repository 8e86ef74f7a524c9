"""The Python half of the ETF rotation project: what SQL cannot say plainly."""
