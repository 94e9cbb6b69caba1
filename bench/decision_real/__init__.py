"""The edge-cloud decision on real processes, next to what the simulator says of the same minutes.

A window is one world of `bench.decision` (arrivals, link, slow cloud) played in real time: a box process with the
agent's lane, its runner, an engine worker and the gRPC adapter; a link in user space; a node that serves the real
protocol. Rules that hold here:

- The box (`box`) has one core, everything else the other. Frames are decoded before; nothing else of it is left out.
- The node (`node`) answers with recorded outputs: the truth that the pictures were drawn with, as a larger model's.
- What the simulator is told (`fitting`) was measured in windows of their own, never in the one that it is asked about.
- A window in which others took more than `around.MOST_FOREIGN` of the two cores is counted, and judges nothing.
- All times are monotonic seconds, which every process of a machine shares.
"""
