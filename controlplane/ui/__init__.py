"""The pages: the fleet, live, for people. Server-rendered over the same services as the API; no script of anybody else.

Pure: `page` (what every page is made of) and a module for each page (documents and figures → what is shown), `figures`
(numbers → words). `*_pages` read what views are made of; `shell` knows the frame, the navigation and which page an
address means; `live` keeps one view a second for all who look; `stream` tells an open page what is new; `routes`
convert. Static files are split by concern; templates share `parts.html`.
"""
