"""Compression of embedded content, and the page's content security policy."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json


def as_json(content: object) -> str:
    """Return content as JSON without spaces; an infinity or NaN is an error."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def content_security_policy(*scripts: str) -> str:
    """Return the policy of a page that runs only these scripts and loads nothing.

    Source: Content Security Policy Level 3 of the W3C, section 8.4: a script in the
    page is allowed by the Base64 of its SHA-256. Inline styles are allowed, because
    plotly sets them; no other source is allowed, so they cannot load anything.
    """
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def packed(text: str) -> str:
    """Return a text as gzip in base64, the same bytes for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), 4, mtime=0)).decode()
