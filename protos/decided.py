"""How a deployment decided about its frames, as it is told with their outcomes: sums, which add up over windows.

- Where frames went (ROUTES): frames, of those that came to a lane. One in which nothing moved came to none.
- What that was decided against is looked at once a window: LOOKS counts the looks, what was seen is a sum over them, so
  that the mean of any span is one division. Of a look that saw no way to a cloud node LINKS does not count.
"""

from __future__ import annotations

from enum import StrEnum


class Decided(StrEnum):
    LOCAL = "local"  # answered by the box
    SMALL = "small"  # the same, by a smaller size of the model than the largest
    CLOUD = "cloud"  # sent to a cloud node
    HEDGE = "hedge"  # sent to a cloud node, and run on the box too
    SHED = "shed"  # given up

    LOOKS = "looks"
    LOAD = "load"  # inference that arrives, of what the box can do: 1 is all of it
    LINKS = "links"  # looks at which a cloud node could be asked
    LINK = "link"  # Mbit/s that the way there was thought to carry, over these
    PRICE_BITS = "price_bits"  # of a Mbit, in values of a frame
    PRICE_MONEY = "price_money"  # of as much of each other budget as a Mbit takes
    PRICE_JOULES = "price_joules"
    PRICE_GRAMS = "price_grams"
    RUNG_GPU = "rung_gpu"  # looks at which it stood on this rung of the ladder, see agent.offload.ladder
    RUNG_OTHER = "rung_other"
    RUNG_CPU = "rung_cpu"
    RUNG_CLOUD = "rung_cloud"
    RUNG_LOWER_RATE = "rung_lower_rate"
    RUNG_NOTHING = "rung_nothing"


ROUTES = (Decided.LOCAL, Decided.SMALL, Decided.CLOUD, Decided.HEDGE, Decided.SHED)
PRICES = (Decided.PRICE_BITS, Decided.PRICE_MONEY, Decided.PRICE_JOULES, Decided.PRICE_GRAMS)
RUNGS = tuple(each for each in Decided if each.startswith("rung_"))  # from the best down
