"""The cache of a site: what it hands out, to whom, and what a box that asks it believes. agent/site, adapters."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SITE = "tests/unit/site"
_FIRST, _HOSTILE = f"{_SITE}/test_first.py::", f"{_SITE}/test_hostile_caches.py::"
_HOLDINGS, _LISTENER = f"{_SITE}/test_holdings.py::", f"{_SITE}/test_server.py::"

MUTANTS = (
    Mutant(
        "site-file-proven",
        "A file of which a site's cache gave any byte is hashed, and a wrong one is laid at its door.",
        "agent/update/staging.py",
        "suspect = by_chunks or self.site.gave(entry.digest) or (there and self.site.place)\n",
        "suspect = by_chunks\n",
        (
            f"{_FIRST}test_wrong_bytes_are_thrown_away_and_the_release_is_not_blamed",
            f"{_FIRST}test_one_wrong_byte_behind_bytes_of_the_control_plane_is_found",
        ),
    ),
    Mutant(
        "site-manifest-proven",
        "A manifest from a site's cache is hashed before it is handed on.",
        "agent/site/first.py",
        "        if digest_of(content) != digest:\n",
        "        if False:\n",
        (
            f"{_FIRST}test_other_bytes_in_place_of_the_manifest_are_not_handed_on",
            f"{_HOSTILE}test_other_bytes_than_the_manifest_are_not_handed_on",
        ),
    ),
    Mutant(
        "site-resumes",
        "What a site's cache gave before it broke off is not fetched again.",
        "agent/site/first.py",
        "self._far(digest, offset, rate, min(stop, offset + PIECE))",
        "self._far(digest, 0, rate, min(stop, offset + PIECE))",
        (
            f"{_FIRST}test_a_file_that_ends_too_early_goes_on_from_the_control_plane",
            f"{_HOSTILE}test_what_came_before_it_broke_is_not_fetched_again",
        ),
    ),
    Mutant(
        "site-slow",
        "A site's cache that trickles is given up.",
        "agent/adapters/blob_site.py",
        "taken(answer, offset, stop, self._patience, self._clock.monotonic)",
        "taken(answer, offset, stop, Patience(), self._clock.monotonic)",
        (f"{_HOSTILE}test_what_came_before_it_broke_is_not_fetched_again",),
    ),
    Mutant(
        "site-falls-back",
        "Whatever a site's cache does, the rest comes from the control plane.",
        "agent/site/first.py",
        "        except Retryable as error:\n            self._standing.failed(digest, error)\n        else:\n",
        "        except Retryable:\n            raise\n        else:\n",
        (
            f"{_FIRST}test_what_came_before_the_cache_broke_off_is_not_fetched_again",
            f"{_HOSTILE}test_a_cache_that_is_useless_costs_a_moment",
        ),
    ),
    Mutant(
        "site-left-alone",
        "A site's cache that fails is not asked at every file.",
        "agent/site/standing.py",
        "now >= max(self._until, self._lacking.get(digest, 0.0))",
        "now >= self._lacking.get(digest, 0.0)",
        (
            f"{_FIRST}test_a_cache_that_is_away_costs_one_question_and_is_told",
            f"{_HOSTILE}test_a_cache_that_is_useless_costs_a_moment",
        ),
    ),
    Mutant(
        "site-wait-ends",
        "A site's cache that says it fetches a file, and gets nowhere, is given up.",
        "agent/site/waiting.py",
        "        if now - self.moved >= STILL_SECONDS:\n",
        "        if False:\n",
        (f"{_HOSTILE}test_one_that_always_says_it_fetches_is_given_up",),
    ),
    Mutant(
        "site-told-local",
        "A site's cache stands, and is asked, on an address of the local network alone.",
        "agent/site/address.py",
        "    if not is_local(place.host):\n",
        "    if False:\n",
        (f"{_SITE}/test_address.py::test_a_cache_on_a_public_address_or_on_all_is_refused_with_the_next_step",),
    ),
    Mutant(
        "site-bound-local",
        "The listener of a site's cache binds no public address and not all.",
        "agent/site/server.py",
        "        if not is_local(host):\n",
        "        if False:\n",
        (f"{_LISTENER}test_it_stands_on_no_public_address_and_not_on_all",),
    ),
    Mutant(
        "site-callers-local",
        "A site's cache answers callers of the local network alone.",
        "agent/site/server.py",
        "        if not is_local(caller):\n",
        "        if False:\n",
        (f"{_LISTENER}test_a_caller_from_elsewhere_is_refused",),
    ),
    Mutant(
        "site-only-listed",
        "A site's cache hands out nothing that is of no signed release, whatever lies on its disk.",
        "agent/site/holdings.py",
        "        size = self._size(digest)\n        store = self.pulls.store(digest)\n",
        "        size = self._size(digest) or 1\n        store = self.pulls.store(digest)\n",
        (
            f"{_HOLDINGS}test_what_lies_on_the_disk_and_is_of_no_release_is_not_handed_out",
            f"{_HOLDINGS}test_a_release_that_nobody_signed_is_not_handed_out_though_it_runs_here",
            f"{_HOLDINGS}test_a_release_that_was_withdrawn_is_not_handed_out_any_more",
        ),
    ),
    Mutant(
        "site-fetches-listed",
        "A site's cache fetches nothing that signed metadata does not name.",
        "agent/site/holdings.py",
        "            if size is None:\n                return\n",
        "            size = size or 1\n",
        (f"{_HOLDINGS}test_what_is_not_listed_is_not_fetched",),
    ),
    Mutant(
        "site-both-agree",
        "What a site's cache fetches is assigned, and listed by release keys.",
        "agent/adapters/tuf_metadata.py",
        "        return listing if both else None\n",
        "        return listing or names.Listing(assignment.model, assignment.version, assignment.digest, 1, 1, 'x')\n",
        ("tests/unit/signed/test_listed.py::test_what_is_assigned_and_not_listed_is_not",),
    ),
    Mutant(
        "site-keeps-proven",
        "A site's cache keeps and hands out what it hashed.",
        "agent/site/pulls.py",
        "        if self.extra.facts(digest) != FileFacts(size, digest):\n",
        "        if False:\n",
        (f"{_HOLDINGS}test_wrong_bytes_are_not_handed_out_and_not_kept",),
    ),
    Mutant(
        "site-room",
        "What a site's cache keeps for others stays within its bound.",
        "agent/site/pulls.py",
        "        if self.extra.used_bytes() - parts > room:\n",
        "        if False:\n",
        (f"{_HOLDINGS}test_what_was_asked_for_last_stays_where_there_is_no_room_for_all",),
    ),
    Mutant(
        "site-few-at-once",
        "One address reads a few files of a site's cache at once.",
        "agent/site/server.py",
        "        if self._reading[caller] >= MOST_OF_A_CALLER:",
        "        if False:",
        (f"{_LISTENER}test_one_address_reads_a_few_files_at_once",),
    ),
)
