"""The data plane under proof: a real agent with cameras and callers, whose every frame and request is told.

`Box` starts `agent.main run` as a process, joined to a simulated control plane that hands out releases; `callers` ask
it as applications do; `seen` reads how each frame ended. What a proof changes about the agent is in `watched`.
"""
