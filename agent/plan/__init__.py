"""Before a box is bought: what share of its cameras' frames would be answered in time, from the simulator.

`wish` is what is asked, `measured` reads what is known of a box and a release, `forecast` plays the agent's own lane in
virtual time, `text` tells it. Nothing here runs a model or a camera.
"""
