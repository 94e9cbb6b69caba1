"""The two pages of signing in, in the style of the page. No script; everything shown is escaped."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><title>Longshore</title>
<link rel="icon" href="/ui/static/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/ui/static/tokens.css"><link rel="stylesheet" href="/ui/static/elements.css">
<link rel="stylesheet" href="/ui/static/shell.css"></head>
<body class="alone"><main><img src="/ui/static/mark.svg" alt="" width="48" height="48">
<h1>Longshore</h1>{body}
</main></body></html>
"""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


def button(code: str) -> str:
    """Fetching this page spends nothing: a prefetch must not burn the link."""
    form = (
        '<p>Sign in on this browser?</p><form method="post" action="/signin">'
        f'<input type="hidden" name="code" value="{escape(code)}"><button autofocus>Sign in</button></form>'
    )
    return _PAGE.format(body=form)


def sentence(text: str) -> str:
    """One sentence to a person; how to go on stands in it."""
    return _PAGE.format(body=f"<p>{escape(text)}</p>")


def signed_out() -> str:
    return _PAGE.format(body="<p>To sign in, run <code>longshore open</code> and follow its link.</p>")
