"""Who may ask an engine now, who waits, and who is turned away at once. Pure: values and `now` in, actions out.

A node that is asked for more than it can do answers late to everyone, or in time to some and at once to the others.
`door` decides which; `agent.serving.admission` acts on it. Seconds of the server here are seconds of the whole engine:
a call of 20 ms on an engine that runs two at once is worth 10 ms.
"""
