"""The page: the fleet, live, for people. Server-rendered over the same services as the API; no script of anybody else.

`board` (documents and figures → what is shown), `figures` (numbers → words) are pure; `live` keeps one snapshot a
second for all who look; `routes` convert.
"""
