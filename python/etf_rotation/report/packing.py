"""What the page embeds, packed, and the policy that lets only that run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json


def as_json(content: object) -> str:
    """Return content as JSON without spaces; what is no finite number is an error."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def content_security_policy(*scripts: str) -> str:
    """Return the policy of a page that runs these scripts only and loads nothing.

    Source: Content Security Policy Level 3 of the W3C, section 8.4: a script in the page is named
    by the Base64 of its SHA-256. Plotly sets styles of its own, so styles are free; without a
    source of anything else they can load nothing either.
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
    """Return a text as the page unpacks it: gzip in base64, the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), 4, mtime=0)).decode()
