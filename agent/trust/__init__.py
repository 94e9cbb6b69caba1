"""What signed metadata proves to this box: floors that only rise, the rule that both must agree, and what was approved.

Decisions here and pure; metadata is fetched and its signatures are checked in agent.adapters.tuf_metadata.
"""
